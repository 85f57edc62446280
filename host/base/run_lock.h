// Exclusive use of a run's directory for the life of this object, wherever the directory is moved meanwhile. The kernel
// frees it however the process ends.
#pragma once
#include <string>

namespace files {

class RunLock {
public:
    static constexpr const char* name = ".lock";  // of the file in the directory
    // Throws Error{locked} naming the holder, Error{io} if there is no such directory or it cannot be locked.
    explicit RunLock(const std::string& directory);
    ~RunLock();
    RunLock(const RunLock&) = delete;

    // Whether some process has it. Looking takes it for a moment: who wants it then tries again.
    static bool is_held(const std::string& directory);
    // Where the directory is now: as it was given while that is still true; "" if it was deleted.
    std::string path() const;
    void leave_nothing();  // the lock's file goes too, if there was none before

private:
    void lock();

    const std::string given;
    int directory, file = -1;
    bool created = false;
};

}  // namespace files
