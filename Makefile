# gpt.cu: train a GPT-style Transformer in hand-written CUDA.
#
#   make train_gpt && ./train_gpt     train the default model on the built-in corpus
#   make test                         build and run every test this machine can run
#   make test SANITIZE=address        the kernels' tests under AddressSanitizer
#   make test SANITIZE=thread         ... under ThreadSanitizer, which finds their data races
#
# Options:  DNNL=0    plain loops instead of oneDNN's matrix products on the CPU
#           ARCH=...  -march of the CPU code (native)
#           WERROR=1  warnings are errors

ARCH ?= native
DNNL ?= 1
BUILD ?= build
CXX ?= g++
# A sanitizer has a build folder of its own, with its programs in it.
ifdef SANITIZE
BUILD := $(BUILD)/$(SANITIZE)
PROGRAM := $(BUILD)/
endif
# The gaps that dev/simt leaves between shared variables are too large for the segment to be made read-only.
ifeq ($(SANITIZE),address)
NO_RELRO := -Wl,-z,norelro
endif

WARN := -Wall -Wextra $(if $(filter 1,$(WERROR)),-Werror)
# Sums may be reordered so that loops vectorise; infinities and NaNs keep their meaning.
MATH := -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math
FLAGS := -std=c++20 -O3 -g -march=$(ARCH) -fopenmp $(MATH) $(WARN) -Wno-unknown-pragmas -MMD -MP -I. $(if $(filter 1,$(DNNL)),-DGPT_DNNL)
SANITIZER := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
LIBS := -lfmt -lutf8proc -lxxhash $(if $(filter 1,$(DNNL)),-ldnnl)

HOST := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard host/*.cpp host/reference/*.cpp))
TESTS := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard dev/*.cpp))
# Kernels for the CPU: compiled by the host compiler against dev/simt, which runs them. It is never instrumented itself.
SIMT := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard dev/simt/*.cpp))
SIMT_TESTS := $(patsubst %.cu,$(BUILD)/simt/%.o,$(wildcard dev/*.cu dev/simt/test/*.cu))
SIMT_FLAGS := $(if $(filter address,$(SANITIZE)),-DSIMT_ASAN)$(if $(filter thread,$(SANITIZE)),-DSIMT_TSAN)

.PHONY: all test bench format clean setup
.DELETE_ON_ERROR:
all: train_gpt test_gpt

train_gpt: $(BUILD)/train_gpt.o $(HOST)
	$(CXX) $(FLAGS) -o $@ $^ $(LIBS)

test_gpt: $(BUILD)/test_gpt.o $(TESTS) $(HOST)
	$(CXX) $(FLAGS) -o $@ $^ -lgtest $(LIBS)

# $(SIMT) directly after the kernels: its first variable keeps a distance from their last.
$(PROGRAM)train_gpt_simt: $(BUILD)/simt/train_gpt.o $(SIMT) $(HOST)
	$(CXX) $(FLAGS) $(SANITIZER) $(NO_RELRO) -o $@ $^ -lboost_context $(LIBS)

$(PROGRAM)test_gpt_simt: $(BUILD)/simt/test_gpt.o $(SIMT_TESTS) $(SIMT) $(TESTS) $(HOST)
	$(CXX) $(FLAGS) $(SANITIZER) $(NO_RELRO) -o $@ $^ -lgtest -lboost_context $(LIBS)

test: $(PROGRAM)test_gpt_simt
	./$<

bench: test_gpt
	./test_gpt --bench

$(BUILD)/dev/simt/%.o: dev/simt/%.cpp | setup
	@mkdir -p $(@D)
	$(CXX) $(filter-out $(MATH),$(FLAGS)) $(SIMT_FLAGS) -c -o $@ $<

$(BUILD)/simt/%.o: %.cu | setup
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) $(SANITIZER) $(SIMT_FLAGS) -Idev/simt/include -x c++ -c -o $@ $<

$(BUILD)/%.o: %.cpp | setup
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) $(SANITIZER) -c -o $@ $<

$(BUILD)/%.o: %.cu | setup
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) -x c++ -c -o $@ $<

# What is missing is installed when it may be, else the command to do so is printed.
setup:
	@dev/setup.sh

format:
	clang-format -i $$(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')

clean:
	rm -rf $(BUILD) train_gpt test_gpt train_gpt_simt test_gpt_simt

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
