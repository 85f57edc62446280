# gpt.cu: train a GPT-style Transformer in hand-written CUDA.
#
#   make train_gpt && ./train_gpt     train the default model on the built-in corpus
#   make test                         build and run every test this machine can run
#
# Options:  DNNL=0    plain loops instead of oneDNN's matrix products on the CPU
#           ARCH=...  -march of the CPU code (native)
#           WERROR=1  warnings are errors

ARCH ?= native
DNNL ?= 1
BUILD ?= build
CXX ?= g++

# g++ 12 sees overlapping copies in std::string's operator+ where there are none (GCC bug 105651).
WARN := -Wall -Wextra -Wno-restrict -Wno-unknown-pragmas $(if $(filter 1,$(WERROR)),-Werror)
# Sums may be reordered so that loops vectorise; infinities and NaNs keep their meaning.
MATH := -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math
FLAGS := -std=c++20 -O3 -g -march=$(ARCH) -fopenmp $(MATH) $(WARN) -MMD -MP -I. $(if $(filter 1,$(DNNL)),-DGPT_DNNL)
LIBS := -lfmt -lutf8proc -lxxhash $(if $(filter 1,$(DNNL)),-ldnnl)

HOST := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard host/*.cpp host/reference/*.cpp))
TESTS := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard dev/*.cpp))

.PHONY: all test bench format clean setup
.DELETE_ON_ERROR:
all: train_gpt test_gpt

train_gpt: $(BUILD)/train_gpt.o $(HOST)
	$(CXX) $(FLAGS) -o $@ $^ $(LIBS)

test_gpt: $(BUILD)/test_gpt.o $(TESTS) $(HOST)
	$(CXX) $(FLAGS) -o $@ $^ -lgtest $(LIBS)

# Where memory can hold the tests' files they do not wait for the disk.
test: test_gpt
	TEST_TMPDIR=$${TEST_TMPDIR:-$$([ -w /dev/shm ] && echo /dev/shm/)} ./test_gpt

bench: test_gpt
	./test_gpt --bench

$(BUILD)/%.o: %.cpp | setup
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) -c -o $@ $<

$(BUILD)/%.o: %.cu | setup
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) -x c++ -c -o $@ $<

# What is missing is installed when it may be, else the command to do so is printed.
setup:
	@dev/setup.sh

format:
	clang-format -i $$(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')

clean:
	rm -rf $(BUILD) train_gpt test_gpt

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
