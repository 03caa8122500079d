// docs/DIFFERENCES.md says what is different from LevelDB: here each row about C++ programs has a check of its name, which
// holds of LevelDB alone what the page says of LevelDB, and of a shared database what it says of that.
//
//   differences DIR PAGE OTHER     runs the checks in DIR, which is there; PAGE is docs/DIFFERENCES.md, and OTHER the library
//                                  of other_version.cc
//   differences ROLE DIR           (started by it) plays a second process
//
// Whether databases are shared is told by whether the preload library is there.

#include <dirent.h>
#include <dlfcn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <leveldb/cache.h>
#include <leveldb/comparator.h>
#include <leveldb/db.h>
#include <leveldb/env.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include "../timeout.h"

using namespace leveldb;

static const char* row = "";  // whose check is running

#define CHECK(condition)                                                                               \
  do {                                                                                                 \
    if (!(condition)) {                                                                                \
      std::fprintf(stderr, "%s: %s:%d: %s does not hold\n", row, __FILE__, __LINE__, #condition);      \
      std::abort();                                                                                    \
    }                                                                                                  \
  } while (0)

static const char* program;
static const char* other_version;
static bool shared;

static void Ok(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s: %s\n", row, status.ToString().c_str());
  std::abort();
}

static Options Creating() {
  Options options;
  options.create_if_missing = true;
  return options;
}

static Status TryOpen(const std::string& dir, const Options& options = Creating()) {
  DB* db = nullptr;
  const Status status = DB::Open(options, dir, &db);
  delete db;
  return status;
}

static std::unique_ptr<DB> Open(const std::string& dir, const Options& options = Creating()) {
  DB* db = nullptr;
  Ok(DB::Open(options, dir, &db));
  return std::unique_ptr<DB>(db);
}

static void Put(DB* db, const std::string& key, const std::string& value) { Ok(db->Put(WriteOptions(), key, value)); }

// The value, "(none)", or "(failed)".
static std::string Get(DB* db, const std::string& key) {
  std::string value;
  const Status status = db->Get(ReadOptions(), key, &value);
  return status.ok() ? value : status.IsNotFound() ? "(none)" : "(failed)";
}

// What a second process that plays `role` in `dir` ends with.
static int Run(const char* role, const std::string& dir) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    execl(program, program, role, dir.c_str(), nullptr);
    _exit(127);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static bool Exists(const std::string& path) {
  struct stat found;
  return stat(path.c_str(), &found) == 0;
}

static bool IsShared(const std::string& dir) { return Exists(dir + "/level-party.state"); }

static bool Ends(const std::string& text, const std::string& with) {
  return text.size() >= with.size() && text.compare(text.size() - with.size(), with.size(), with) == 0;
}

static std::vector<std::string> Files(const std::string& dir, const std::string& end = "") {
  std::vector<std::string> names;
  DIR* entries = opendir(dir.c_str());
  CHECK(entries != nullptr);
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_name[0] != '.' && Ends(entry->d_name, end)) names.push_back(entry->d_name);
  }
  closedir(entries);
  return names;
}

static std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  CHECK(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The table that a compaction of everything made; older ones may be there that are removed later.
static std::string NewestTable(const std::string& dir) {
  const auto tables = Files(dir, ".ldb");
  CHECK(!tables.empty());
  return dir + "/" + *std::max_element(tables.begin(), tables.end());
}

// ---- in both ----

static void OpenJoins(const std::string& dir) {
  auto db = Open(dir);
  Put(db.get(), "first", "1");
  CHECK(Run("joins", dir) == (shared ? 0 : 1));
  CHECK(Get(db.get(), "second") == (shared ? "2" : "(none)"));
}

static int Joins(const std::string& dir) {
  if (TryOpen(dir).IsIOError()) return 1;
  auto db = Open(dir);
  CHECK(Get(db.get(), "first") == "1");
  Put(db.get(), "second", "2");
  return 0;
}

static void SecondOpen(const std::string& dir) {
  auto first = Open(dir);
  CHECK(TryOpen(dir).IsIOError() != shared);
  if (!shared) return;
  auto second = Open(dir);
  Put(first.get(), "first", "1");
  CHECK(Get(second.get(), "first") == "1");
  first.reset();
  Put(second.get(), "second", "2");
  CHECK(Get(second.get(), "first") == "1");
}

static uint64_t TableBytes(DB* db) {
  uint64_t size;
  const Range all("a", "z");
  db->GetApproximateSizes(&all, 1, &size);
  return size;
}

static void Settings(const std::string& dir) {
  if (!shared) return;  // a second process can't open it
  Options plain = Creating();
  plain.compression = kNoCompression;
  auto db = Open(dir, plain);
  CHECK(Run("writes_zeros", dir) == 0);
  CHECK(TableBytes(db.get()) > 100 * 1000);
}

static int WritesZeros(const std::string& dir) {
  auto db = Open(dir);  // with snappy
  for (int number = 0; number < 100; number++) Put(db.get(), "k" + std::to_string(number), std::string(1000, '\0'));
  db->CompactRange(nullptr, nullptr);
  return 0;
}

static void FailedOpen(const std::string& dir) {
  const Status status = TryOpen(dir, Options());
  CHECK(status.ToString() == "Invalid argument: " + dir + ": does not exist (create_if_missing is false)");
  CHECK(Exists(dir + "/LOG") != shared);
  CHECK(Exists(dir) != shared);
}

static void LostCurrent(const std::string& dir) {
  auto db = Open(dir);
  Put(db.get(), "key", "value");
  db->CompactRange(nullptr, nullptr);
  db.reset();
  CHECK(unlink((dir + "/CURRENT").c_str()) == 0);
  const auto before = Files(dir);
  CHECK(TryOpen(dir).IsCorruption() == shared);
  CHECK((Files(dir) == before) == shared);
  if (!shared) CHECK(Get(Open(dir).get(), "key") == "(none)");
}

static void FileNames(const std::string& dir) {
  auto db = Open(dir);
  CHECK(Exists(dir + "/LOG") != shared);
  CHECK(Exists(dir + "/level-party.state") == shared);
  CHECK(Exists(dir + "/level-party.endpoint") == shared);
}

static void Oversized(const std::string& dir) {
  Options options = Creating();
  options.write_buffer_size = 4 << 20;
  auto db = Open(dir, options);
  const std::string key(16 << 20, 'k');
  Put(db.get(), key, "");
  CHECK(db->Put(WriteOptions(), key + "k", "").IsInvalidArgument() == shared);
  WriteBatch large, many;
  large.Put("large", std::string(64 << 20, 'v'));
  CHECK(db->Write(WriteOptions(), &large).IsInvalidArgument() == shared);
  CHECK((Get(db.get(), "large") == "(none)") == shared);
  for (int number = 0; number <= 4194304; number++) many.Put("many", "");
  CHECK(db->Write(WriteOptions(), &many).IsInvalidArgument() == shared);
  CHECK((Get(db.get(), "many") == "(none)") == shared);
}

static void RepairOfOpen(const std::string& dir) {
  auto db = Open(dir);
  Put(db.get(), "key", "value");
  const auto before = Files(dir);
  CHECK(RepairDB(dir, Options()).IsIOError() == shared);
  CHECK((Files(dir) == before) == shared);
}

static void RepairOfNothing(const std::string& dir) {
  CHECK(RepairDB(dir, Options()).IsIOError() == shared);
  CHECK(Exists(dir) != shared);
  CHECK(TryOpen(dir, Options()).ok() != shared);
}

static void DestroyOfEmpty(const std::string& dir) {
  CHECK(mkdir(dir.c_str(), 0777) == 0);
  Ok(DestroyDB(dir, Options()));
  CHECK(Exists(dir) == shared);
}

static void DestroyOfFile(const std::string& dir) {
  std::ofstream(dir) << "a file";
  CHECK(DestroyDB(dir, Options()).IsIOError() == shared);
  CHECK(Read(dir) == "a file");
}

static void RepairRenames(const std::string& dir) {
  Put(Open(dir).get(), "key", "value");
  CHECK(unlink((dir + "/CURRENT").c_str()) == 0);
  const auto manifests = Files(dir);
  Ok(RepairDB(dir, Options()));
  size_t renamed = 0;
  for (const std::string& name : manifests) {
    if (name.compare(0, 9, "MANIFEST-") != 0) continue;
    CHECK(Exists(dir + (shared ? "/level-party.replaced-" : "/lost/") + name));
    renamed++;
  }
  CHECK(renamed == 1);
  CHECK(Exists(dir + "/lost") != shared);
  CHECK(Get(Open(dir).get(), "key") == "value");
}

static void Damage(const std::string& dir) {
  Options plain = Creating();
  plain.compression = kNoCompression;
  {
    auto db = Open(dir, plain);
    Put(db.get(), "key", "damaged");
    db->CompactRange(nullptr, nullptr);
  }
  const std::string table = NewestTable(dir);
  std::string bytes = Read(table);
  const size_t at = bytes.find("damaged");
  CHECK(at != std::string::npos);
  bytes[at] = 'D';
  std::ofstream(table, std::ios::binary) << bytes;
  CHECK(Get(Open(dir, plain).get(), "key") == (shared ? "(failed)" : "Damaged"));
}

class CountingFilter : public FilterPolicy {
 public:
  const char* Name() const override { return "test.CountingFilter"; }
  void CreateFilter(const Slice*, int, std::string* filter) const override {
    asked++;
    filter->push_back('\0');
  }
  bool KeyMayMatch(const Slice&, const Slice&) const override {
    asked++;
    return true;
  }
  mutable int asked = 0;
};

static void OwnFilter(const std::string& dir) {
  CountingFilter filter;
  Options options = Creating();
  options.filter_policy = &filter;
  auto db = Open(dir, options);
  Put(db.get(), "key", "value");
  db->CompactRange(nullptr, nullptr);
  CHECK(Get(db.get(), "key") == "value");
  CHECK((filter.asked == 0) == shared);
}

// How many tables of `dir` this process has open or, as LevelDB does, mapped.
static size_t OpenTables(const std::string& dir) {
  std::set<std::string> tables;
  const auto add = [&](const std::string& path) {
    if (path.compare(0, dir.size(), dir) == 0 && Ends(path, ".ldb")) tables.insert(path);
  };
  char target[4096];
  for (const std::string& name : Files("/proc/self/fd")) {
    const ssize_t length = readlink(("/proc/self/fd/" + name).c_str(), target, sizeof target);
    add(std::string(target, length > 0 ? length : 0));
  }
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t path = line.find('/');
    if (path != std::string::npos) add(line.substr(path));
  }
  return tables.size();
}

static void MaxOpenFiles(const std::string& dir) {
  constexpr size_t kLeast = 74;  // of LevelDB, ten of which are not for tables
  constexpr int kTables = 100;
  Options options = Creating();
  options.max_open_files = kLeast;
  auto db = Open(dir, options);
  for (int number = 0; number < kTables; number++) {
    const std::string key = std::to_string(1000 + number);
    const Slice range = key;
    Put(db.get(), key, "value");
    db->CompactRange(&range, &range);
  }
  for (int number = 0; number < kTables; number++) CHECK(Get(db.get(), std::to_string(1000 + number)) == "value");
  const size_t open = OpenTables(dir);
  CHECK(open > kLeast / 2);
  CHECK((open > kLeast) == shared);
}

static std::string TableWith(const std::string& dir, const Options& options) {
  auto db = Open(dir, options);
  for (int number = 1000; number < 2000; number++) Put(db.get(), "key " + std::to_string(number), "value");
  db->CompactRange(nullptr, nullptr);
  db.reset();
  return Read(NewestTable(dir));
}

static void RestartInterval(const std::string& dir) {
  Options one = Creating();
  one.block_restart_interval = 1;
  CHECK((TableWith(dir + ".one", one) == TableWith(dir + ".default", Creating())) == shared);
}

static void ForkedChild(const std::string& dir) {
  if (!shared) return;  // two processes would write to one log
  auto db = Open(dir);
  Put(db.get(), "parent", "1");
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    const bool refused = db->Put(WriteOptions(), "child", "1").IsIOError();
    auto again = Open(dir);
    _exit(refused && Get(again.get(), "parent") == "1" ? 0 : 1);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(Get(db.get(), "child") == "(none)");
}

// ---- in a C++ program ----

class CountingCache : public Cache {
 public:
  CountingCache() : cache_(NewLRUCache(1 << 20)) {}
  Handle* Insert(const Slice& key, void* value, size_t charge, void (*deleter)(const Slice& key, void* value)) override {
    inserted++;
    return cache_->Insert(key, value, charge, deleter);
  }
  Handle* Lookup(const Slice& key) override { return cache_->Lookup(key); }
  void Release(Handle* handle) override { cache_->Release(handle); }
  void* Value(Handle* handle) override { return cache_->Value(handle); }
  void Erase(const Slice& key) override { cache_->Erase(key); }
  uint64_t NewId() override { return cache_->NewId(); }
  size_t TotalCharge() const override { return cache_->TotalCharge(); }
  int inserted = 0;

 private:
  const std::unique_ptr<Cache> cache_;
};

static void OwnBlockCache(const std::string& dir) {
  CountingCache cache;
  Options options = Creating();
  options.block_cache = &cache;
  auto db = Open(dir, options);
  const std::string zeros(1000, '\0');  // a block that is compressed: LevelDB maps what is not, and does not cache it
  Put(db.get(), "key", zeros);
  db->CompactRange(nullptr, nullptr);
  CHECK(Get(db.get(), "key") == zeros);
  CHECK((cache.inserted == 0) == shared);
}

class CountingLogger : public Logger {
 public:
  void Logv(const char*, va_list) override { told++; }
  int told = 0;
};

static void OwnInfoLog(const std::string& dir) {
  CountingLogger logger;
  Options options = Creating();
  options.info_log = &logger;
  auto db = Open(dir, options);
  db->CompactRange(nullptr, nullptr);
  db.reset();
  CHECK((logger.told == 0) == shared);
}

static void ReuseLogs(const std::string& dir) {
  Options options = Creating();
  options.reuse_logs = true;
  Put(Open(dir, options).get(), "key", "value");
  const auto before = Files(dir, ".log");
  auto db = Open(dir, options);
  CHECK((Files(dir, ".log") == before) != shared);
  CHECK(Files(dir, ".ldb").empty() != shared);
  CHECK(Get(db.get(), "key") == "value");
}

// Nobody waits an hour for this: it holds the number that the preload library is compiled with.
static void AnHour(const std::string&) { CHECK(kTimeoutMs == 60 * 60 * 1000); }

static void NotChosen(const std::string& dir) {
  setenv("LEVEL_PARTY_ONLY", (dir + ".chosen").c_str(), 1);
  Ok(TryOpen(dir));
  Ok(TryOpen(dir + ".chosen"));
  unsetenv("LEVEL_PARTY_ONLY");
  CHECK(!IsShared(dir));
  CHECK(IsShared(dir + ".chosen") == shared);
}

static void OtherVersion(const std::string& dir) {
  void* other = dlopen(other_version, RTLD_NOW | RTLD_LOCAL);
  CHECK(other != nullptr);
  const auto open = reinterpret_cast<Status (*)(const std::string&)>(dlsym(other, "open_with_other_version"));
  CHECK(open != nullptr);
  // Its own Open says so where the call reaches it. Without the preload library its call goes to the LevelDB of this program.
  CHECK((open(dir).ToString() == "Not implemented: the other version was called") == shared);
  CHECK(!IsShared(dir));
}

class OwnEnvironment : public EnvWrapper {
 public:
  OwnEnvironment() : EnvWrapper(Env::Default()) {}
};

static void OwnEnv(const std::string& dir) {
  OwnEnvironment env;
  Options options = Creating();
  options.env = &env;
  Put(Open(dir, options).get(), "key", "value");
  CHECK(!IsShared(dir));
}

// The bytewise order, by another name.
class Named : public Comparator {
 public:
  int Compare(const Slice& a, const Slice& b) const override { return a.compare(b); }
  const char* Name() const override { return "test.Named"; }
  void FindShortestSeparator(std::string*, const Slice&) const override {}
  void FindShortSuccessor(std::string*) const override {}
};

static void OwnComparator(const std::string& dir) {
  Named comparator;
  Options options = Creating();
  options.comparator = &comparator;
  Put(Open(dir, options).get(), "key", "value");
  CHECK(!IsShared(dir));
}

static void OtherCompression(const std::string& dir) {
  Options options = Creating();
  options.compression = static_cast<CompressionType>(2);  // zstd, from LevelDB 1.24 on
  Ok(TryOpen(dir, options));
  CHECK(!IsShared(dir));
  Ok(TryOpen(dir));
  CHECK(IsShared(dir) == shared);
}

using Check = std::function<void(const std::string&)>;

static const std::map<std::string, Check> kChecks = {
    {"open_joins_another_process", OpenJoins},
    {"second_open_is_the_same_database", SecondOpen},
    {"settings_are_the_first_openers", Settings},
    {"failed_open_makes_nothing", FailedOpen},
    {"open_without_current_is_refused", LostCurrent},
    {"files_are_named_so", FileNames},
    {"oversized_writes_are_refused", Oversized},
    {"repair_of_an_open_database_is_refused", RepairOfOpen},
    {"repair_makes_no_database", RepairOfNothing},
    {"destroy_leaves_an_empty_directory", DestroyOfEmpty},
    {"destroy_of_a_file_fails", DestroyOfFile},
    {"repair_renames_what_it_replaces", RepairRenames},
    {"damage_is_found_without_asking", Damage},
    {"own_filter_policy_is_not_asked", OwnFilter},
    {"max_open_files_has_no_effect", MaxOpenFiles},
    {"block_restart_interval_has_no_effect", RestartInterval},
    {"forked_child_is_refused", ForkedChild},
    {"own_block_cache_is_not_used", OwnBlockCache},
    {"own_info_log_is_told_nothing", OwnInfoLog},
    {"reuse_logs_has_no_effect", ReuseLogs},
    {"waiting_writes_have_an_hour", AnHour},
    {"directories_not_chosen_are_left_alone", NotChosen},
    {"other_versions_are_left_alone", OtherVersion},
    {"own_env_is_left_alone", OwnEnv},
    {"own_comparator_is_left_alone", OwnComparator},
    {"other_compressions_are_left_alone", OtherCompression},
};

// The checks that the page names in its parts about C++ programs: one in the last cell of each row of a table whose last
// column is "check".
static std::set<std::string> ChecksOf(const char* page) {
  std::set<std::string> names;
  std::ifstream lines(page);
  CHECK(lines.good());
  bool is_about_us = false, has_checks = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, 3, "## ") == 0) {
      is_about_us = line == "## In both" || line == "## In a C++ program that `level-party run` starts";
    }
    if (line.empty()) has_checks = false;
    if (has_checks && line.compare(0, 3, "|--") != 0) {
      const size_t begin = line.rfind(" | `");
      CHECK(begin != std::string::npos && Ends(line, "` |"));
      CHECK(names.insert(line.substr(begin + 4, line.size() - begin - 7)).second);
    }
    if (is_about_us && Ends(line, " | check |")) has_checks = true;
  }
  return names;
}

int main(int argc, char** argv) {
  program = argv[0];
  shared = dlsym(RTLD_DEFAULT, "_ZN7leveldb2DB4OpenERKNS_7OptionsERKSsPPS0_") != nullptr;
  if (argc == 3 && std::strcmp(argv[1], "joins") == 0) return Joins(argv[2]);
  if (argc == 3 && std::strcmp(argv[1], "writes_zeros") == 0) return WritesZeros(argv[2]);
  if (argc != 4) return 2;
  const std::unique_ptr<char, decltype(&std::free)> resolved(realpath(argv[1], nullptr), std::free);
  CHECK(resolved != nullptr);
  const std::string dir = resolved.get();
  other_version = argv[3];
  const std::set<std::string> named = ChecksOf(argv[2]);
  std::set<std::string> checks;
  for (const auto& check : kChecks) checks.insert(check.first);
  for (const std::string& name : named) {
    if (checks.count(name) == 0) std::fprintf(stderr, "%s is in the page, and no check\n", name.c_str());
  }
  for (const std::string& name : checks) {
    if (named.count(name) == 0) std::fprintf(stderr, "%s is a check, and not in the page\n", name.c_str());
  }
  CHECK(named == checks);
  for (const auto& check : kChecks) {
    row = check.first.c_str();
    check.second(dir + "/" + check.first);
  }
  std::printf("%zu rows of the page hold of %s\n", kChecks.size(), shared ? "shared databases" : "LevelDB alone");
  return 0;
}
