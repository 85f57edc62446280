#include "traced.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <map>
#include <vector>

std::string SystemCall::bytes(int argument, size_t n) const {
    std::string out(n, '\0');
    iovec here{out.data(), n}, there{reinterpret_cast<void*>(arguments[argument]), n};
    const ssize_t got = n ? process_vm_readv(process, &here, 1, &there, 1, 0) : 0;
    out.resize(size_t(std::max<ssize_t>(got, 0)));
    return out;
}

std::string SystemCall::text(int argument) const {
    std::string out;
    SystemCall at = *this;
    for (;;) {  // never past a page: the next may not be there
        const size_t n = 4096 - at.arguments[argument] % 4096;
        const std::string part = at.bytes(argument, n);
        out += part.substr(0, part.find('\0'));
        if (part.size() < n || part.find('\0') != part.npos) return out;
        at.arguments[argument] += n;
    }
}

namespace {
std::string link_of(int process, const std::string& name) {
    std::error_code error;
    const auto target = std::filesystem::read_symlink("/proc/" + std::to_string(process) + "/" + name, error);
    return error ? "" : target.string();
}
}  // namespace

std::string SystemCall::path_of_file(int argument) const {
    return link_of(process, "fd/" + std::to_string(int(arguments[argument])));
}

std::string SystemCall::path(int directory_at, int name_at) const {
    const std::string name = text(name_at);
    if (name.starts_with('/')) return std::filesystem::path(name).lexically_normal();
    const bool here = directory_at < 0 || int(arguments[directory_at]) == AT_FDCWD;
    const std::string base = here ? link_of(process, "cwd") : path_of_file(directory_at);
    return (std::filesystem::path(base) / name).lexically_normal();
}

bool SystemCall::writes() const { return number == SYS_write || number == SYS_pwrite64; }
bool SystemCall::reads() const { return number == SYS_read || number == SYS_pread64; }

std::string SystemCall::file() const {
    switch (number) {
        case SYS_write:
        case SYS_pwrite64:
        case SYS_read:
        case SYS_pread64:
        case SYS_fsync:
        case SYS_close:
        case SYS_ftruncate: return path_of_file(0);
        case SYS_openat:
        case SYS_mkdirat:
        case SYS_unlinkat: return path(0, 1);
        case SYS_open:
        case SYS_mkdir:
        case SYS_rmdir:
        case SYS_unlink:
        case SYS_truncate: return path(-1, 0);
        case SYS_rename:
        case SYS_symlink: return path(-1, 1);
        case SYS_symlinkat: return path(1, 2);
        case SYS_renameat:
        case SYS_renameat2: return path(2, 3);
        default: return "";
    }
}

namespace {

constexpr long watched[] = {SYS_write,     SYS_pwrite64, SYS_read,     SYS_pread64,  SYS_fsync,     SYS_close,
                            SYS_ftruncate, SYS_openat,   SYS_mkdirat,  SYS_unlinkat, SYS_open,      SYS_mkdir,
                            SYS_rmdir,     SYS_unlink,   SYS_truncate, SYS_rename,   SYS_symlinkat, SYS_renameat,
                            SYS_symlink,   SYS_access,   SYS_renameat2};

// From now on these calls of this process stop it; all others run at full speed.
void stop_at_watched_calls() {
    std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    for (size_t i = 0; i < std::size(watched); i++)
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __u32(watched[i]), __u8(std::size(watched) - i), 0));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE));
    const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) _exit(97);
}

[[noreturn]] void be_traced(const std::function<void()>& body) {
    if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(99);
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)) _exit(98);
    raise(SIGSTOP);
    stop_at_watched_calls();
    try {
        body();
    } catch (...) { _exit(96); }  // not to the test that waits for it
    std::fflush(nullptr);
    _exit(0);
}

class Tracer {
public:
    Tracer(pid_t child, const OnCall& on_call, const OnResult& on_result)
        : child(child), on_call(on_call), on_result(on_result) {}

    int run() {
        for (;;) {
            int status = 0;
            const pid_t who = waitpid(-1, &status, __WALL);
            if (who < 0) return -SIGKILL;
            if (WIFEXITED(status) || WIFSIGNALED(status)) {
                if (who == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
                under_way.erase(who);
                continue;
            }
            if (WIFSTOPPED(status)) stopped(who, status);
        }
    }

private:
    void stopped(pid_t who, int status) {
        const int signal = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_SECCOMP) return entered(who);
        if (signal == (SIGTRAP | 0x80)) return left(who);
        const bool first = signal == SIGSTOP && seen.insert({who, true}).second;
        if (first && who == child) {
            const long options =
                PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
            ptrace(PTRACE_SETOPTIONS, who, nullptr, options);
        }
        ptrace(PTRACE_CONT, who, nullptr, first || event ? 0L : long(signal));
    }

    void entered(pid_t who) {
        user_regs_struct r;
        ptrace(PTRACE_GETREGS, who, nullptr, &r);
        SystemCall call{int(who), long(r.orig_rax), {r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9}, 0};
        const Verdict verdict = on_call ? on_call(call) : Verdict{};
        if (verdict.kind == Verdict::Kind::kill) {
            kill(child, SIGKILL);
            return;
        }
        if (verdict.kind == Verdict::Kind::fail) {
            r.orig_rax = ~0ull;  // no call at all, and what it returned
            r.rax = uint64_t(-verdict.value);
            ptrace(PTRACE_SETREGS, who, nullptr, &r);
        } else if (verdict.kind == Verdict::Kind::at_most) {
            r.rdx = std::min<uint64_t>(r.rdx, uint64_t(verdict.value));
            ptrace(PTRACE_SETREGS, who, nullptr, &r);
        }
        if (!on_result) {
            ptrace(PTRACE_CONT, who, nullptr, 0L);
            return;
        }
        under_way[who] = call;
        ptrace(PTRACE_SYSCALL, who, nullptr, 0L);
    }

    void left(pid_t who) {
        user_regs_struct r;
        ptrace(PTRACE_GETREGS, who, nullptr, &r);
        if (const auto it = under_way.find(who); it != under_way.end()) {
            it->second.result = long(r.rax);
            on_result(it->second);
            under_way.erase(it);
        }
        ptrace(PTRACE_CONT, who, nullptr, 0L);
    }

    const pid_t child;
    const OnCall& on_call;
    const OnResult& on_result;
    std::map<pid_t, bool> seen;
    std::map<pid_t, SystemCall> under_way;
};

}  // namespace

bool can_trace() {
#ifdef __SANITIZE_THREAD__
    return false;
#else
    static const bool can = [] {
        int calls = 0;
        const OnCall count = [&](const SystemCall&) { return calls++, Verdict{}; };
        return run_traced([] { close(open("/", O_RDONLY | O_DIRECTORY)); }, count) == 0 && calls >= 2;
    }();
    return can;
#endif
}

int run_traced(const std::function<void()>& body, const OnCall& on_call, const OnResult& on_result) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) return -SIGKILL;
    if (child == 0) be_traced(body);
    return Tracer(child, on_call, on_result).run();
}
