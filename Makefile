# gpt.cu: train a GPT-style Transformer in hand-written CUDA.
#
#   make train_gpt && ./train_gpt     train the default model on the built-in corpus
#   make test                         build and run every test this machine can run
#   make test SANITIZE=address        the same, kernels on the CPU included, under AddressSanitizer
#   make test SANITIZE=thread         the same under ThreadSanitizer, which finds the kernels' data races
#   make check-sanitizers             all tests under AddressSanitizer and UBSan, those of threads under ThreadSanitizer
#   make power_cut                    every state of the disk that a power cut can leave behind (dev/doc/reliability.md)
#   make soak MINUTES=30              a kill at every step of a run; then kills, signals and failing disks on runs of random
#                                     settings; SOAK_SEED=N repeats one
#   make bench                        time the kernels and training
#   make bundle                       programs for a GPU machine where nothing can be built or installed: bundle/README
#   make fuzz SECONDS_EACH=600        random input for every parser (clang)
#   make format, make format_check    lays the code out as .clang-format says, or complains where it is not
#   make tidy                         clang-tidy over the host code
#   make compile_commands.json        for clangd and other tools that ask how a file is compiled
#   make help                         this text
#
# train_gpt and test_gpt are the best this machine can build: by nvcc where there is one, else by the host compiler.
# train_gpt_simt and test_gpt_simt are always the host compiler's: dev/simt runs the kernels on the CPU.
# train_gpt_ptx and test_gpt_ptx run nvcc's PTX on the CPU (dev/ptx): GPU_ARCH=compute_80, compute_90a, or both.
#
# Options:  ARCH=...       -march of the CPU code (native)
#           GPU_ARCH=...   architectures of the kernels, such as "80 90a compute_90" (dev/gpu_arch.sh: this machine's GPUs)
#           USE_CUDNN=1    cuDNN's attention is timed beside ours by `make bench`; CUDNN_INCLUDE and CUDNN_LIB name its folders,
#                          and that of cudnn-frontend, where compilers do not look for them
#           MPI=           leaves out Open MPI, by which several ranks train together, where it is found
#           WERROR=1       warnings are errors
#           DEBUG=1        nothing optimised, for a debugger (dev/doc/debugging.md); in build/debug

comma := ,
# As many jobs as there are cores, and 2 GB of memory for each, unless -j says otherwise.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell awk -v cores="$$(nproc)" '/MemAvailable/ { n = int($$2 / 2e6); print n < 1 ? 1 : n < cores ? n : cores }' \
                 /proc/meminfo)
endif
ARCH ?= native
BUILD ?= build
CXX ?= g++
NVCC ?= $(shell command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
TOOLKIT := $(abspath $(dir $(realpath $(shell command -v $(lastword $(NVCC)))))..)
GPU := $(shell nvidia-smi -L 2>/dev/null | grep '^GPU ')
# What a command prints. It runs once, when the variable is first needed.
once = $(eval $(1) := $(shell $(2)))$($(1))
GPU_ARCH ?= $(call once,GPU_ARCH,dev/gpu_arch.sh $(NVCC))
# Sanitizers and DEBUG have a build folder of their own, with their programs in it.
ifneq ($(SANITIZE)$(DEBUG),)
BUILD := $(BUILD)/$(or $(SANITIZE),debug)$(if $(UNDEFINED),_undefined)
PROGRAM := $(BUILD)/
endif
# So have the programs of a bundle. fmt is in the host code's object files, as Debian has no static library of it.
ifdef PORTABLE
BUILD := $(BUILD)/portable
PROGRAM := $(BUILD)/
ARCH := x86-64-v3
GPU_ARCH = $(call once,GPU_ARCH,dev/gpu_arch.sh --portable $(NVCC))
# A flag that nvcc has since CUDA 12.8.
COMPRESS = $(call once,COMPRESS,$(NVCC) --help | grep -q -e --compress-mode && echo --compress-mode=size)
endif

# g++ 12 sees overlapping copies in std::string's operator+ where there are none (GCC bug 105651).
WARN := -Wall -Wextra $(if $(findstring clang,$(CXX)),,-Wno-restrict) -Wno-unknown-pragmas $(if $(filter 1,$(WERROR)),-Werror)
# Sums of the CPU's layers may be reordered so that loops vectorise; infinities and NaNs keep their meaning.
MATH := -fno-math-errno -fno-trapping-math -fno-signed-zeros -fassociative-math
# Half of a build's time is the optimiser's and the debugger's tables of variables: only the rooms whose loops are hot get
# all of it, and only DEBUG=1 has the tables. Line numbers are always there.
OPTIMISE = -O1
$(addprefix $(BUILD)/,host/reference/%.o host/tokenizer/%.o host/commands/run_on_cpu.o): OPTIMISE = -O3
# The references are templates: these tests have the very loops that train on the CPU.
$(addprefix $(BUILD)/dev/,test/reference/%.o test/model/%.o bench/%.o): OPTIMISE = -O3
$(addprefix $(BUILD)/,host/base/%.o host/data/%.o host/checkpoint/%.o host/report/inspect_model.o): OPTIMISE = -O2
$(addprefix $(BUILD)/,dev/simt/%.o simt/%.o dev/ptx/%.o): OPTIMISE = -O2
LEVEL = $(if $(DEBUG),-O0 -g,$(OPTIMISE) -g1)
COMMON := -std=c++20 -I. -MMD -MP
SANITIZER := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
# UBSan beside it: SANITIZE=address UNDEFINED=1.
SANITIZER += $(if $(UNDEFINED),-fsanitize=undefined -fno-sanitize-recover=undefined)
# Under AddressSanitizer shared variables are 64 KiB apart: they need room in every thread's stack, and leave a hole where
# the loader would protect pages.
SANITIZER_RUN := $(if $(filter address,$(SANITIZE)),export OMP_STACKSIZE=64M;)
SANITIZER_LINK := $(SANITIZER) $(if $(filter address,$(SANITIZE)),-Wl$(comma)-z$(comma)norelro)
FLAGS = $(COMMON) $(LEVEL) -march=$(ARCH) -fopenmp $(MATH) $(WARN) $(if $(PORTABLE),-DFMT_HEADER_ONLY)
# The libraries of a portable program are inside it, but for glibc and CUDA.
PORTABLE_LIBS := -l:libxxhash.a -l:libgomp.a -Xcompiler -static-libstdc++,-static-libgcc -Xlinker -s
# Open MPI, where it is found, carries what ranks tell each other. It has races and leaks of its own, and no bundle has it.
MPI ?= $(if $(SANITIZE)$(PORTABLE),,$(shell command -v mpicc))
MPI_FLAGS := $(if $(MPI),-DGPT_MPI -DOMPI_SKIP_MPICXX $(patsubst -I%,-isystem %,$(filter -I%,$(shell $(MPI) --showme:compile))))
MPI_LIBS := $(if $(MPI),$(filter -L% -l%,$(shell $(MPI) --showme:link)))
LIBS := $(if $(PORTABLE),$(PORTABLE_LIBS),-lfmt -lxxhash) $(MPI_LIBS)
OPENMP := $(if $(PORTABLE),,-Xcompiler -fopenmp)
GTEST := -l$(if $(PORTABLE),:libgtest.a,gtest)

# Kernels for the CPU: compiled by the host compiler against dev/simt, which runs them and is never instrumented itself.
SIMT_FLAGS := $(if $(filter address,$(SANITIZE)),-DSIMT_ASAN)$(if $(filter thread,$(SANITIZE)),-DSIMT_TSAN)
# Kernels for a GPU. In a bundle, those of the tests' own are compiled by the driver on Blackwell: they would be too much.
ARCHS = $(if $(and $(PORTABLE),$(filter dev/%,$<)),$(filter-out 100 120,$(GPU_ARCH)),$(GPU_ARCH))
CODE = $(foreach a,$(ARCHS),-gencode arch=compute_$(a:compute_%=%),code=$(if $(filter compute_%,$(a)),$(a),sm_$(a)))
NVCC_FLAGS = $(COMMON) $(if $(DEBUG),-O0 -g,-O1 -Xcompiler -g1) --expt-relaxed-constexpr -t 0 $(CODE) \
              -Xcompiler -march=$(ARCH),-fopenmp,-Wno-unknown-pragmas \
              $(if $(filter 1,$(WERROR)),-Werror all-warnings) $(COMPRESS)

# dev/ptx runs PTX that is not compressed.
ifeq ($(PORTABLE),)
COMPRESS = $(if $(filter compute_%,$(GPU_ARCH)),--no-compress)
endif

# Source lines for profilers and compute-sanitizer. In the tests of a bundle they would be half of it.
LINES = $(if $(and $(PORTABLE),$(filter dev/%,$<)),,-lineinfo)

HOST := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard host/*/*.cpp host/*/*/*.cpp))
TESTS := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard dev/test/*/*.cpp dev/bench/*.cpp dev/oracle/*.cpp))
SIMT := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard dev/simt/*.cpp))
PTX := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard dev/ptx/*.cpp))
# Tests that need a device, and what they share with others.
PTX_TESTS := $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard dev/ptx/test/*.cpp dev/test/support/*.cpp dev/bench/*.cpp dev/oracle/*.cpp))
KERNELS := $(wildcard kernels/instances/*.cu kernels/*.cu)
# The references are templates, which several objects have, optimised more or less: the linker takes the first it sees.
HOT = %/host/commands/run_on_cpu.o
OBJECTS = $(filter $(HOT),$^) $(filter-out $(HOT),$^)
KERNEL_TESTS := $(wildcard dev/test/*/*.cu dev/bench/*.cu)
ifeq ($(USE_CUDNN),1)
NVCC_FLAGS += -DGPT_CUDNN $(addprefix -isystem ,$(CUDNN_INCLUDE))
CUDNN_LIBS := $(foreach folder,$(CUDNN_LIB),-L$(folder) -Xlinker -rpath$(comma)$(folder)) -lcudnn
endif
SIMT_TESTS := $(patsubst %.cu,$(BUILD)/simt/%.o,$(KERNEL_TESTS) $(wildcard dev/simt/test/*.cu))

# Parsers under libFuzzer, AddressSanitizer and UBSan, which only clang has together: dev/fuzz/NAME.cpp with the host code it needs.
FUZZ_CXX ?= $(shell command -v clang++ || echo clang++-14)
FUZZ_FLAGS := -std=c++20 -O1 -g -I. -MMD -MP -fsanitize=address,undefined -fno-sanitize-recover=all $(WARN) -Wno-unknown-warning-option
FUZZ_HOST := $(patsubst %.cpp,$(BUILD)/fuzz/%.o,$(filter-out host/commands/%,$(wildcard host/*/*.cpp host/*/*/*.cpp)))
FUZZ_TARGETS := $(patsubst dev/fuzz/%.cpp,$(BUILD)/fuzz/%,$(wildcard dev/fuzz/*.cpp))
SECONDS_EACH ?= 600

.PHONY: always help tidy all test check-sanitizers power_cut soak bench bundle bundle_folder fuzz fuzzers format \
        format_check clean setup fuzz_setup format_setup tidy_setup ranks_setup
.DELETE_ON_ERROR:
all: $(PROGRAM)train_gpt $(PROGRAM)test_gpt

$(PROGRAM)train_gpt_simt: $(BUILD)/simt/train_gpt.o $(KERNELS:%.cu=$(BUILD)/simt/%.o) $(HOST) $(SIMT)
	$(CXX) $(FLAGS) $(SANITIZER_LINK) -o $@ $(OBJECTS) -lboost_context $(LIBS)

$(PROGRAM)test_gpt_simt: $(BUILD)/simt/test_gpt.o $(KERNELS:%.cu=$(BUILD)/simt/%.o) $(SIMT_TESTS) $(TESTS) $(HOST) $(SIMT)
	$(CXX) $(FLAGS) $(SANITIZER_LINK) -o $@ $(OBJECTS) -lgtest -lboost_context $(LIBS)

ifneq ($(NVCC),)
# Where a program looks last for cuBLASLt, which it loads when it runs.
NVCC_FLAGS += -DGPT_TOOLKIT='"$(TOOLKIT)"'
CUDA_LIBS := $(LIBS) $(CUDNN_LIBS)

$(PROGRAM)train_gpt: $(BUILD)/cuda/train_gpt.o $(KERNELS:%.cu=$(BUILD)/cuda/%.o) $(HOST)
	$(NVCC) $(CODE) $(OPENMP) -o $@ $(OBJECTS) $(CUDA_LIBS)

$(PROGRAM)test_gpt: $(patsubst %.cu,$(BUILD)/cuda/%.o,test_gpt.cu $(KERNELS) $(KERNEL_TESTS)) $(TESTS) $(HOST)
	$(NVCC) $(CODE) $(OPENMP) -o $@ $(OBJECTS) $(GTEST) $(CUDA_LIBS)

# nvcc's objects as they are, with dev/simt's runtime in place of NVIDIA's, which runs their PTX (dev/ptx).
ifeq ($(SANITIZE),)
$(PROGRAM)train_gpt_ptx: $(BUILD)/cuda/train_gpt.o $(KERNELS:%.cu=$(BUILD)/cuda/%.o) $(HOST) $(SIMT) $(PTX)
	$(CXX) $(FLAGS) -o $@ $(OBJECTS) -lboost_context $(LIBS)

$(PROGRAM)test_gpt_ptx: $(patsubst %.cu,$(BUILD)/cuda/%.o,test_gpt.cu $(KERNELS) $(KERNEL_TESTS)) $(PTX_TESTS) $(HOST) $(SIMT) $(PTX)
	$(CXX) $(FLAGS) -o $@ $(OBJECTS) -lgtest -lboost_context $(LIBS)
endif
else
$(PROGRAM)train_gpt $(PROGRAM)test_gpt: %: %_simt
	cp $< $@
endif

test: $(PROGRAM)test_gpt_simt $(if $(GPU),$(if $(SANITIZE),,$(PROGRAM)test_gpt))
	$(SANITIZER_RUN) for program in $^; do dev/run_tests.sh ./$$program || exit 1; done

# Threads of the host: loops over cores, the loader, saves in the background. ThreadSanitizer allows none after a fork.
THREAD_TESTS := threads.*:saving.*:step_watch.*:data.*:data_files.*:text_files.*:tokenize.*:train.*:numbers.*:-*kernels*:*dtype*:*bf16*
check-sanitizers:
	$(MAKE) test SANITIZE=address UNDEFINED=1
	$(MAKE) build/thread/test_gpt_simt SANITIZE=thread
	OMP_NUM_THREADS=2 build/thread/test_gpt_simt --gtest_brief=1 --gtest_filter='$(THREAD_TESTS)'

# They write and read small files all the time: in memory, where there is a file system of it.
IN_MEMORY := TEST_TMPDIR=$(if $(wildcard /dev/shm),/dev/shm/,/tmp/)
power_cut: $(PROGRAM)test_gpt_simt
	POWER_CUT=all $(IN_MEMORY) ./$< --gtest_filter='power_cut*'

MINUTES ?= 30
soak: $(PROGRAM)test_gpt_simt
	EXACT_RESUME=all OMP_NUM_THREADS=1 $(IN_MEMORY) ./$< --gtest_brief=1 --gtest_filter='exact_resume.*'
	SOAK_MINUTES=$(MINUTES) OMP_NUM_THREADS=1 $(IN_MEMORY) ./$< --gtest_also_run_disabled_tests --gtest_filter='soak.DISABLED*'

bench: $(PROGRAM)test_gpt
	./$< --bench --json bench.json

bundle:
	$(if $(NVCC),,$(error a bundle needs nvcc))
	$(MAKE) PORTABLE=1 bundle_folder

bundle_folder: $(PROGRAM)train_gpt $(PROGRAM)test_gpt
	dev/bundle.sh $(BUILD) $(GPU_ARCH)

fuzzers: $(FUZZ_TARGETS)

fuzz: fuzzers
	dev/fuzz/fuzz.sh $(SECONDS_EACH) $(BUILD)/fuzz $(notdir $(FUZZ_TARGETS))

# An archive: each target takes what it needs.
$(BUILD)/fuzz/host.a: $(FUZZ_HOST)
	@rm -f $@
	ar rcs $@ $^

$(FUZZ_TARGETS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/dev/fuzz/%.o $(BUILD)/fuzz/host.a
	$(FUZZ_CXX) -fsanitize=fuzzer,address,undefined -fopenmp -o $@ $^ -lfmt -lxxhash

$(BUILD)/fuzz/%.o: %.cpp | fuzz_setup
	@mkdir -p $(@D)
	$(FUZZ_CXX) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

$(BUILD)/dev/simt/%.o: dev/simt/%.cpp | setup
	@mkdir -p $(@D)
	$(CXX) $(filter-out $(MATH),$(FLAGS)) $(SIMT_FLAGS) -c -o $@ $<

# Every operation of a lane rounds by itself. Registers hold bits, which instructions take for numbers of any kind.
$(BUILD)/dev/ptx/ops_%.o: OPTIMISE = -O3
$(BUILD)/dev/ptx/%.o: FLAGS += -ffp-contract=off -fno-strict-aliasing
$(BUILD)/dev/ptx/%.o: dev/ptx/%.cpp | setup
	@mkdir -p $(@D)
	$(CXX) $(filter-out -fassociative-math -fno-signed-zeros,$(FLAGS)) -c -o $@ $<

$(BUILD)/simt/%.o: %.cu | setup
	@mkdir -p $(@D)
	$(CXX) $(filter-out $(MATH),$(FLAGS)) $(SANITIZER) $(SIMT_FLAGS) -Idev/simt/include -x c++ -c -o $@ $<

$(BUILD)/cuda/%.o: %.cu | setup
	@mkdir -p $(@D)
	$(NVCC) $(NVCC_FLAGS) $(LINES) -c -o $@ $<

$(BUILD)/%.o: %.cpp | setup
	@mkdir -p $(@D)
	$(CXX) $(FLAGS) $(SANITIZER) -c -o $@ $<

$(BUILD)/host/world/mpi.o: FLAGS += $(MPI_FLAGS)
$(BUILD)/host/world/mpi.o: $(BUILD)/mpi
$(BUILD)/mpi: always
	@mkdir -p $(@D)
	@echo '$(MPI_FLAGS)' | cmp -s - $@ || echo '$(MPI_FLAGS)' >$@

# What --version says.
COMMIT := $(shell git describe --always --dirty 2>/dev/null || echo unknown)
$(BUILD)/host/commands/version.o: FLAGS += -DGPT_COMMIT='"$(COMMIT)"'
$(BUILD)/host/commands/version.o: $(BUILD)/commit
$(BUILD)/commit: always
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' >$@

# What is missing is installed when it may be, else the command to do so is printed.
setup:
	@dev/setup.sh

fuzz_setup: | setup
	@dev/setup.sh fuzz

format_setup:
	@dev/setup.sh format

# Open MPI: what is built after it has several ranks.
ranks_setup:
	@dev/setup.sh ranks

# The version that dev/setup.sh installs: another lays some lines out otherwise.
CLANG_FORMAT ?= clang-format-14
SOURCES = $(shell git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
format: | format_setup
	$(CLANG_FORMAT) -i $(SOURCES)

format_check: | format_setup
	@$(CLANG_FORMAT) --dry-run --Werror $(SOURCES)

compile_commands.json: always
	@dev/compile_commands.sh >$@

tidy_setup:
	@dev/setup.sh tidy

tidy: compile_commands.json | tidy_setup
	printf '%s\n' $(wildcard host/*/*.cpp host/*/*/*.cpp) | xargs -P $$(nproc) -n 4 clang-tidy --quiet -p .

help:
	@sed -n '/^#   make train_gpt/,/^$$/{s/^# \{0,1\}//;p}' Makefile

clean:
	rm -rf $(BUILD) train_gpt test_gpt train_gpt_simt test_gpt_simt train_gpt_ptx test_gpt_ptx

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
