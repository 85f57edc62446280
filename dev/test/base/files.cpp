// Files: nothing half-written is taken for whole, whatever fails.
#include "host/base/files.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <filesystem>
#include "dev/test/support/expect_error.h"
#include "dev/test/support/full_disk.h"
#include "dev/test/support/temporary_directory.h"
#include "host/base/run_lock.h"

TEST(files, writes_and_reads_back) {
    const Temporary dir;
    files::write_file(dir / "a", "hello");
    EXPECT_EQ(files::read_file(dir / "a", 5), "hello");
    EXPECT_EQ(files::hash_file(dir / "a"), files::hash("hello"));
    EXPECT_EQ(files::hex(files::hash("")), "ef46db3751d8e999");  // XXH64's published value of nothing
    expect_error(Exit::input, {"/a", "too long"}, [&] { files::read_file(dir / "a", 4); });
    expect_error(Exit::io, {"/a", "File exists"}, [&] { files::write_file(dir / "a", "again"); });
    expect_error(Exit::input, {"/b", "No such file"}, [&] { files::Reader(dir / "b"); });
    expect_error(Exit::io, {"/no/b"}, [&] { files::write_file(dir / "no/b", ""); });
}

TEST(files, hash_does_not_depend_on_chunks) {
    const Temporary dir;
    std::string text(9'000'001, 'x');
    for (size_t i = 0; i < text.size(); i++) text[i] = char(i * 2654435761u >> 13);
    files::Writer writer(dir / "a");
    for (size_t at = 0; at < text.size(); at += 777'777)
        writer.write(text.data() + at, std::min<size_t>(777'777, text.size() - at));
    writer.close();
    EXPECT_EQ(writer.size(), text.size());
    EXPECT_EQ(writer.hash(), files::hash(text));
    EXPECT_EQ(files::hash_file(dir / "a"), files::hash(text));
}

TEST(files, only_regular_files_are_read) {
    const Temporary dir;
    ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
    expect_error(Exit::input, {"pipe", "not a regular file"}, [&] { files::Reader(dir / "pipe"); });
    expect_error(Exit::input, {"is a directory"}, [&] { files::Reader(dir.path); });
    expect_error(Exit::input, {"/dev/zero", "not a regular file"}, [&] { files::Reader("/dev/zero"); });
}

TEST(files, reading_past_the_end_is_an_error) {
    const Temporary dir;
    files::write_file(dir / "a", "hello");
    const files::Reader reader(dir / "a");
    char bytes[8];
    expect_error(Exit::input, {"/a", "ends before byte 6"}, [&] { reader.read(bytes, 3, 3); });
    expect_error(Exit::input, {"/a"}, [&] { reader.read(bytes, 1, ~uint64_t(0)); });
    ASSERT_EQ(truncate((dir / "a").c_str(), 2), 0);
    expect_error(Exit::input, {"/a", "shorter"}, [&] { reader.read(bytes, 5, 0); });
}

TEST(files, full_disk) {
    const Temporary dir;
    files::replace_file(dir / "a", "old");
    const FileSizeLimit limit(100);
    expect_error(Exit::io, {"/b", "File too large", "free some space"},
                 [&] { files::write_file(dir / "b", std::string(200, 'x')); });
    expect_error(Exit::io, {"File too large"}, [&] { files::replace_file(dir / "a", std::string(200, 'x')); });
    EXPECT_EQ(files::read_file(dir / "a", 100), "old");
    EXPECT_EQ(files::list(dir.path), (std::vector<std::string>{"a", "b"}));  // no temporary file stays
    expect_error(Exit::io, {"MiB"}, [&] { files::require_space(dir.path, ~uint64_t(0)); });
    files::require_space(dir.path, 1);
}

TEST(files, replace_is_all_or_nothing) {
    const Temporary dir;
    files::replace_file(dir / "a", "one");
    files::replace_file(dir / "a", "two");
    EXPECT_EQ(files::read_file(dir / "a", 10), "two");
    files::replace_link(dir / "latest", "a");
    files::replace_link(dir / "latest", "b");
    EXPECT_EQ(files::link_target(dir / "latest"), "b");
    EXPECT_EQ(files::link_target(dir / "a"), "");
    EXPECT_TRUE(files::exists(dir / "latest"));  // although it dangles
    EXPECT_EQ(files::list(dir.path), (std::vector<std::string>{"a", "latest"}));
}

TEST(files, atomic_directory) {
    const Temporary dir;
    {
        files::AtomicDirectory abandoned(dir.path, "x");
        files::write_file(abandoned.path() + "/f", "half");
    }
    EXPECT_TRUE(files::list(dir.path).empty());
    for (const char* text : {"one", "two"}) {  // the second replaces the first
        files::AtomicDirectory directory(dir.path, "x", [](const std::string& name) { return name == "f"; });
        files::write_file(directory.path() + "/f", text);
        EXPECT_EQ(directory.commit(), dir / "x");
        EXPECT_EQ(files::read_file(dir / "x/f", 10), text);
        EXPECT_EQ(files::list(dir.path), std::vector<std::string>{"x"});
    }
    files::remove_directory(dir.path, "x");
    EXPECT_TRUE(files::list(dir.path).empty());
    expect_error(Exit::io, {"/none", "No such file"}, [&] { files::AtomicDirectory(dir / "none", "x"); });
}

TEST(files, a_directory_that_appears_meanwhile_stays) {
    const Temporary dir;
    const auto is_f = [](const std::string& name) { return name == "f"; };
    for (const files::IsOurs& replaces : {files::IsOurs(nullptr), files::IsOurs(is_f)}) {
        files::AtomicDirectory directory(dir.path, "x", replaces);
        files::write_file(directory.path() + "/f", "new");
        files::make_directories(dir / "x");
        overwrite(dir / "x/theirs", "theirs");
        expect_error(Exit::io, {dir / "x"}, [&] { directory.commit(); });
        EXPECT_EQ(files::read_file(dir / "x/theirs", 10), "theirs");
    }
    EXPECT_EQ(files::list(dir.path), std::vector<std::string>{"x"});
}

TEST(files, leftovers_are_ours_only) {
    const Temporary dir;
    const files::AtomicDirectory held(dir.path, "step_7");  // somebody works there
    for (const char* name :
         {".tmp.step_1.77", ".trash.step_2.5", "step_1", ".tmp.step_1", ".tmp.other.77", ".tmp.step_1.7x", ".hidden"})
        files::make_directories(dir / name + "/inside");
    files::remove_leftovers(dir.path, "step_");
    EXPECT_EQ(files::list(dir.path),
              (std::vector<std::string>{".hidden", ".tmp.other.77", ".tmp.step_1", ".tmp.step_1.7x",
                                        std::filesystem::path(held.path()).filename(), "step_1"}));
}

TEST(files, run_lock) {
    const Temporary dir;
    {
        const files::RunLock lock(dir.path);
        // Another open file of this process counts as another holder.
        expect_error(Exit::locked, {dir.path, "pid " + std::to_string(getpid()), " since ", " on "},
                     [&] { files::RunLock again(dir.path); });
    }
    const pid_t child = fork();
    if (!child) {
        new files::RunLock(dir.path);  // never released by us
        _exit(0);
    }
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    const files::RunLock free_again(dir.path);
}

TEST(files, run_lock_follows_its_directory) {
    const Temporary dir;
    files::make_directories(dir / "a");
    {
        const files::RunLock lock(dir / "a");
        EXPECT_EQ(lock.path(), dir / "a");
        std::filesystem::rename(dir / "a", dir / "b");
        EXPECT_EQ(lock.path(), std::filesystem::canonical(dir / "b"));
        files::make_directories(dir / "a");  // another one
        EXPECT_EQ(lock.path(), std::filesystem::canonical(dir / "b"));
        const files::RunLock other(dir / "a");
        std::filesystem::remove_all(dir / "b");
        EXPECT_EQ(lock.path(), "");
    }
    {
        files::RunLock again(dir / "a");  // its file was there
        again.leave_nothing();
    }
    EXPECT_TRUE(files::exists(dir / "a/.lock"));
    std::filesystem::remove(dir / "a/.lock");
    {
        files::RunLock fresh(dir / "a");
        fresh.leave_nothing();
    }
    EXPECT_FALSE(files::exists(dir / "a/.lock"));
}

TEST(files, outputs_replace_only_their_like) {
    const Temporary dir;
    const std::string page = "<svg xmlns=\"one\">", next = "<svg xmlns=\"two\">";
    files::replace_output(dir / "new", page);
    files::replace_output(dir / "new", next);
    EXPECT_EQ(files::read_file(dir / "new", 100), next);
    overwrite(dir / "notes", "notes");
    ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
    ASSERT_EQ(symlink("notes", (dir / "to_notes").c_str()), 0);
    ASSERT_EQ(symlink("absent", (dir / "to_nothing").c_str()), 0);
    ASSERT_EQ(symlink("new", (dir / "to_new").c_str()), 0);
    for (const char* name : {"notes", "pipe", "to_notes", "to_nothing", "."})
        expect_error(Exit::usage, {dir / name, "not replaced"}, [&] { files::replace_output(dir / name, page); });
    files::replace_output(dir / "to_new", page);
    EXPECT_EQ(files::link_target(dir / "to_new"), "new");
    EXPECT_EQ(files::read_file(dir / "new", 100), page);
    EXPECT_EQ(files::read_file(dir / "notes", 100), "notes");
}

TEST(files, log) {
    const Temporary dir;
    uint64_t kept;
    {
        files::Log log(dir / "log", 0);
        EXPECT_TRUE(log.append("one"));
        kept = log.size();
        EXPECT_TRUE(log.append("two"));
    }
    EXPECT_EQ(files::read_file(dir / "log", 100), "one\ntwo\n");
    const int file = open((dir / "log").c_str(), O_WRONLY | O_APPEND);
    ASSERT_EQ(write(file, "thr", 3), 3);  // a run was killed here
    close(file);
    EXPECT_EQ(files::Log(dir / "log", files::Log::everything).size(), 8u);
    EXPECT_EQ(files::read_file(dir / "log", 100), "one\ntwo\n");
    {
        files::Log log(dir / "log", kept);
        EXPECT_TRUE(log.append("TWO"));
        EXPECT_EQ(log.size(), 8u);
    }
    EXPECT_EQ(files::read_file(dir / "log", 100), "one\nTWO\n");
}

TEST(files, log_on_a_full_disk_goes_on) {
    EXPECT_FALSE(files::Log("/dev/full", 0).append("line"));
    const Temporary dir;
    files::Log log(dir / "log", 0);
    {
        const FileSizeLimit limit(10);
        EXPECT_TRUE(log.append("12345"));
        EXPECT_FALSE(log.append("67890"));
        EXPECT_EQ(files::read_file(dir / "log", 100), "12345\n");  // no half line
    }
    EXPECT_TRUE(log.append("67890"));
    EXPECT_EQ(files::read_file(dir / "log", 100), "12345\n67890\n");
}
