// LevelDB as a peer, through its own C++ interface: speaks the lines of README.md.

#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

static std::string Hex(const leveldb::Slice& bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (size_t i = 0; i < bytes.size(); i++) {
    text.push_back(digits[(bytes[i] >> 4) & 15]);
    text.push_back(digits[bytes[i] & 15]);
  }
  return text;
}

static std::string Bytes(const std::string& hex) {
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  bytes.reserve(hex.size() / 2);
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1])));
  }
  return bytes;
}

static void Check(const leveldb::Status& status) {
  if (!status.ok()) {
    std::cerr << status.ToString() << std::endl;
    exit(1);
  }
}

static leveldb::Options OptionsFrom(int count, char** words) {
  std::map<std::string, int> given;
  for (int i = 0; i < count; i++) {
    std::string word = words[i];
    size_t equals = word.find('=');
    given[word.substr(0, equals)] = std::stoi(word.substr(equals + 1));
  }
  leveldb::Options options;
  options.create_if_missing = true;
  options.paranoid_checks = true;
  options.compression = given["snappy"] ? leveldb::kSnappyCompression : leveldb::kNoCompression;
  if (given["bloom"] > 0) options.filter_policy = leveldb::NewBloomFilterPolicy(given["bloom"]);
  options.write_buffer_size = given["write_buffer_size"];
  options.block_size = given["block_size"];
  options.block_restart_interval = given["block_restart_interval"];
  options.max_file_size = given["max_file_size"];
  return options;
}

static void Entry(const leveldb::Iterator& entry) {
  std::cout << Hex(entry.key()) << ' ' << Hex(entry.value()) << '\n';
}

// Repairs a database and prints what can be read of it then.
static int Repair(const std::string& dir) {
  leveldb::Options options;
  // Else it would take blocks with bad checksums over into new tables.
  options.paranoid_checks = true;
  Check(leveldb::RepairDB(dir, options));
  leveldb::DB* opened = nullptr;
  Check(leveldb::DB::Open(leveldb::Options(), dir, &opened));
  std::unique_ptr<leveldb::DB> db(opened);
  leveldb::ReadOptions read_options;
  read_options.verify_checksums = true;
  std::unique_ptr<leveldb::Iterator> at(db->NewIterator(read_options));
  // Blocks that can't be read are passed over.
  for (at->SeekToFirst(); at->Valid(); at->Next()) Entry(*at);
  return 0;
}

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  if (argc == 3 && std::string(argv[2]) == "repair") return Repair(argv[1]);
  leveldb::DB* opened = nullptr;
  Check(leveldb::DB::Open(OptionsFrom(argc - 2, argv + 2), argv[1], &opened));
  std::unique_ptr<leveldb::DB> db(opened);
  std::cout << "open" << std::endl;
  leveldb::ReadOptions read_options;
  read_options.verify_checksums = true;
  std::map<std::string, const leveldb::Snapshot*> snapshots;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string command, word;
    words >> command;
    if (command == "write") {
      leveldb::WriteOptions options;
      words >> word;
      options.sync = word == "1";
      leveldb::WriteBatch batch;
      while (words >> word) {
        size_t value = word.find(':', 2);
        std::string key = Bytes(word.substr(2, value == std::string::npos ? value : value - 2));
        if (word[0] == 'p') {
          batch.Put(key, Bytes(word.substr(value + 1)));
        } else {
          batch.Delete(key);
        }
      }
      Check(db->Write(options, &batch));
      std::cout << "ok" << std::endl;
    } else if (command == "get") {
      words >> word;
      std::string value;
      leveldb::Status status = db->Get(read_options, Bytes(word.substr(1)), &value);
      if (!status.IsNotFound()) Check(status);
      std::cout << (status.IsNotFound() ? "none" : "=" + Hex(value)) << std::endl;
    } else if (command == "seek" || command == "forward" || command == "backward") {
      words >> word;
      leveldb::ReadOptions options = read_options;
      if (command != "seek" && word != "now") options.snapshot = snapshots.at(word);
      std::unique_ptr<leveldb::Iterator> at(db->NewIterator(options));
      if (command == "seek") {
        at->Seek(Bytes(word.substr(1)));
        if (at->Valid()) Entry(*at);
      } else if (command == "forward") {
        for (at->SeekToFirst(); at->Valid(); at->Next()) Entry(*at);
      } else {
        for (at->SeekToLast(); at->Valid(); at->Prev()) Entry(*at);
      }
      Check(at->status());
      std::cout << "." << std::endl;
    } else if (command == "snapshot") {
      words >> word;
      snapshots[word] = db->GetSnapshot();
      std::cout << "ok" << std::endl;
    } else if (command == "release") {
      words >> word;
      db->ReleaseSnapshot(snapshots.at(word));
      snapshots.erase(word);
      std::cout << "ok" << std::endl;
    } else if (command == "compact") {
      db->CompactRange(nullptr, nullptr);
      std::cout << "ok" << std::endl;
    } else {
      std::cerr << "no command: " << command << std::endl;
      return 2;
    }
  }
  for (auto& snapshot : snapshots) db->ReleaseSnapshot(snapshot.second);
}
