// A library that says it is a LevelDB of a version that the preload library does not know, and a program's call of its Open.
// The program that loads it has what else it needs of LevelDB.

#include <leveldb/db.h>

extern "C" {
__attribute__((visibility("default"))) int leveldb_major_version() { return 1; }
__attribute__((visibility("default"))) int leveldb_minor_version() { return 24; }
}

namespace leveldb {

Status DB::Open(const Options&, const std::string&, DB**) { return Status::NotSupported("the other version was called"); }

}  // namespace leveldb

extern "C" leveldb::Status open_with_other_version(const std::string& dir) {
  leveldb::DB* db = nullptr;
  return leveldb::DB::Open(leveldb::Options(), dir, &db);
}
