#!/bin/sh
# Builds the peer of the benchmarks: C++ LevelDB 1.23 under the same workload.
#
# It needs a C++ compiler and LevelDB's headers and library. On Debian and Ubuntu:
#   apt-get install g++ libleveldb-dev
#
# The program goes to peers/ in cargo's target directory, where the benchmarks look for it.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../../target}/peers
mkdir -p "$target"
"${CXX:-c++}" -std=c++17 -O2 -DNDEBUG -Wall -Wextra -o "$target/leveldb_bench" "$here/leveldb_bench.cc" -lleveldb -lpthread
"$target/leveldb_bench" name
