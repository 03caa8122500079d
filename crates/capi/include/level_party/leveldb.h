/* LevelDB's C API, of version 1.23, over level-party: one directory may be open in any number of processes at once, and in
   each of them these calls mean what they mean where it is open in one. `level_party.h` has what there is beyond LevelDB.

   A program that includes "leveldb/c.h" is compiled with `-I INCLUDEDIR/level_party/compat` and linked with
   `-llevel_party`; it is not changed, and needs no libleveldb. The two libraries have functions of the same names: a
   program links one of them.

   What every call keeps to
   ------------------------
   Objects    The structures are opaque. What a `create` or `open` made is ended by the `destroy`, `close` or `release` of its
              kind, once, and used by nobody then.
   Bytes      Keys and values are a pointer and a length; they may hold zeros. With the length 0 the pointer may be NULL.
   Booleans   0 is no, and everything else yes.
   Errors     `errptr` points to NULL, or to a string made by malloc. A call that fails frees that string and leaves a new one
              there, which begins as LevelDB's do: "IO error: ", "Corruption: ", "Invalid argument: ", "Not implemented: ",
              and of `leveldb_open` "NotFound: ", if there is no directory to make the database in.
              A call that succeeds leaves it alone. `lp_last_kind` says what kind of error it was.
   Memory     Strings and values that are given out were made by malloc; free them with `leveldb_free` or free().
   NULL       Where this header allows no NULL, it is an error if the call can tell one, and nothing is done otherwise.
   Threads    A database, a snapshot, a comparator and options that nobody changes may be used by any threads at once; an
              iterator, a batch, and options that are changed, by one at a time.
   fork       A child process uses nothing that its parent opened: calls fail. It opens the database again.
   valgrind   Its memcheck takes many seconds to open a database, for 4 GiB of addresses that are mapped and hardly used: raise
              `lp_options_set_open_timeout` there.
   Callbacks  Functions that are given to this library return: they don't throw, nor longjmp out.

   What is different from LevelDB, and which options have no effect, is in the page docs/DIFFERENCES.md of the sources, which is
   installed as PREFIX/share/doc/level-party/DIFFERENCES.md. A test checks each of its rows.
*/

#ifndef LEVEL_PARTY_LEVELDB_H_
#define LEVEL_PARTY_LEVELDB_H_

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct leveldb_t leveldb_t;
typedef struct leveldb_cache_t leveldb_cache_t;
typedef struct leveldb_comparator_t leveldb_comparator_t;
typedef struct leveldb_env_t leveldb_env_t;
typedef struct leveldb_filelock_t leveldb_filelock_t;
typedef struct leveldb_filterpolicy_t leveldb_filterpolicy_t;
typedef struct leveldb_iterator_t leveldb_iterator_t;
typedef struct leveldb_logger_t leveldb_logger_t;
typedef struct leveldb_options_t leveldb_options_t;
typedef struct leveldb_randomfile_t leveldb_randomfile_t;
typedef struct leveldb_readoptions_t leveldb_readoptions_t;
typedef struct leveldb_seqfile_t leveldb_seqfile_t;
typedef struct leveldb_snapshot_t leveldb_snapshot_t;
typedef struct leveldb_writablefile_t leveldb_writablefile_t;
typedef struct leveldb_writebatch_t leveldb_writebatch_t;
typedef struct leveldb_writeoptions_t leveldb_writeoptions_t;

/* ---- Databases ---- */

/* Opens the database in the directory `name`. NULL on an error. */
leveldb_t* leveldb_open(const leveldb_options_t* options, const char* name, char** errptr);

/* Leaves the database; what it still has to write is written, and another process leads on. Iterators and snapshots are
   destroyed before. */
void leveldb_close(leveldb_t* db);

/* Sets `key` to `val`. When it returns every process reads the value, and it survives the death of any process; with `sync`
   in the options a loss of power too. `options` may be NULL for the defaults, here and in all calls with write or read
   options. */
void leveldb_put(leveldb_t* db, const leveldb_writeoptions_t* options, const char* key, size_t keylen, const char* val,
                 size_t vallen, char** errptr);

/* Removes `key`; it is no error that there is none. */
void leveldb_delete(leveldb_t* db, const leveldb_writeoptions_t* options, const char* key, size_t keylen, char** errptr);

/* Makes the operations of `batch`, all or none, in their order. The batch may be used again. */
void leveldb_write(leveldb_t* db, const leveldb_writeoptions_t* options, leveldb_writebatch_t* batch, char** errptr);

/* The value of `key`, its length at `vallen`; a zero follows it in memory. NULL, without an error, where there is none. */
char* leveldb_get(leveldb_t* db, const leveldb_readoptions_t* options, const char* key, size_t keylen, size_t* vallen,
                  char** errptr);

/* Walks over the database as it is now, or at the snapshot of the options; it stands nowhere yet. Never NULL but where
   memory is out: what is wrong is told by `leveldb_iter_get_error`. */
leveldb_iterator_t* leveldb_create_iterator(leveldb_t* db, const leveldb_readoptions_t* options);

/* Keeps this moment of the database readable. Where that failed, reads through it fail. */
const leveldb_snapshot_t* leveldb_create_snapshot(leveldb_t* db);
void leveldb_release_snapshot(leveldb_t* db, const leveldb_snapshot_t* snapshot);

/* "leveldb.stats", "leveldb.sstables", "leveldb.num-files-at-level<N>", "leveldb.approximate-memory-usage". NULL for
   another name. */
char* leveldb_property_value(leveldb_t* db, const char* propname);

/* About how many bytes of tables each range takes, from its start key on and before its limit key; 0 where it can't be told. */
void leveldb_approximate_sizes(leveldb_t* db, int num_ranges, const char* const* range_start_key,
                               const size_t* range_start_key_len, const char* const* range_limit_key,
                               const size_t* range_limit_key_len, uint64_t* sizes);

/* Compacts the tables that have keys from `start_key` to `limit_key`; NULL is before the first, or after the last. It
   returns when that is done; `lp_compact_range` says whether it was. */
void leveldb_compact_range(leveldb_t* db, const char* start_key, size_t start_key_len, const char* limit_key,
                           size_t limit_key_len);

/* Removes the database `name`, which nobody may have open. It is no error that there is none. */
void leveldb_destroy_db(const leveldb_options_t* options, const char* name, char** errptr);

/* Makes the damaged database `name` one that opens again, with all that can still be read. Nobody may have it open. Of the
   options the comparator is used. */
void leveldb_repair_db(const leveldb_options_t* options, const char* name, char** errptr);

/* ---- Iterators ---- */

void leveldb_iter_destroy(leveldb_iterator_t*);
/* Whether it stands at an entry. */
uint8_t leveldb_iter_valid(const leveldb_iterator_t*);
void leveldb_iter_seek_to_first(leveldb_iterator_t*);
void leveldb_iter_seek_to_last(leveldb_iterator_t*);
/* Goes to the first entry whose key is `k` or after it. */
void leveldb_iter_seek(leveldb_iterator_t*, const char* k, size_t klen);
/* These move on from an entry; where it stands at none they do nothing. */
void leveldb_iter_next(leveldb_iterator_t*);
void leveldb_iter_prev(leveldb_iterator_t*);
/* The entry that it stands at, until it is moved or destroyed; NULL where it stands at none. */
const char* leveldb_iter_key(const leveldb_iterator_t*, size_t* klen);
const char* leveldb_iter_value(const leveldb_iterator_t*, size_t* vlen);
/* What went wrong, if it stands nowhere for that. A seek forgets it. */
void leveldb_iter_get_error(const leveldb_iterator_t*, char** errptr);

/* ---- Write batches ---- */

leveldb_writebatch_t* leveldb_writebatch_create(void);
void leveldb_writebatch_destroy(leveldb_writebatch_t*);
void leveldb_writebatch_clear(leveldb_writebatch_t*);
void leveldb_writebatch_put(leveldb_writebatch_t*, const char* key, size_t klen, const char* val, size_t vlen);
void leveldb_writebatch_delete(leveldb_writebatch_t*, const char* key, size_t klen);
/* Calls one of the two functions for each operation, in their order. */
void leveldb_writebatch_iterate(const leveldb_writebatch_t*, void* state,
                                void (*put)(void*, const char* k, size_t klen, const char* v, size_t vlen),
                                void (*deleted)(void*, const char* k, size_t klen));
/* Adds the operations of `source` behind those of `destination`. */
void leveldb_writebatch_append(leveldb_writebatch_t* destination, const leveldb_writebatch_t* source);

/* ---- Options: seven have no effect, which DIFFERENCES.md names ---- */

leveldb_options_t* leveldb_options_create(void);
void leveldb_options_destroy(leveldb_options_t*);
void leveldb_options_set_comparator(leveldb_options_t*, leveldb_comparator_t*);
void leveldb_options_set_filter_policy(leveldb_options_t*, leveldb_filterpolicy_t*);
void leveldb_options_set_create_if_missing(leveldb_options_t*, uint8_t);
void leveldb_options_set_error_if_exists(leveldb_options_t*, uint8_t);
void leveldb_options_set_paranoid_checks(leveldb_options_t*, uint8_t);
void leveldb_options_set_env(leveldb_options_t*, leveldb_env_t*);
void leveldb_options_set_info_log(leveldb_options_t*, leveldb_logger_t*);
void leveldb_options_set_write_buffer_size(leveldb_options_t*, size_t);
void leveldb_options_set_max_open_files(leveldb_options_t*, int);
void leveldb_options_set_cache(leveldb_options_t*, leveldb_cache_t*);
void leveldb_options_set_block_size(leveldb_options_t*, size_t);
void leveldb_options_set_block_restart_interval(leveldb_options_t*, int);
void leveldb_options_set_max_file_size(leveldb_options_t*, size_t);

enum {
  leveldb_no_compression = 0,
  leveldb_snappy_compression = 1 /* the default */
};
void leveldb_options_set_compression(leveldb_options_t*, int);

/* ---- Comparators ---- */

/* An order of keys: `compare` gives a number below 0, 0, or above 0, and always the same for the same keys, in every process.
   It is called by any thread. `name` is asked once, here, for a string in UTF-8, which is kept in the database. The
   destructor may be NULL. */
leveldb_comparator_t* leveldb_comparator_create(void* state, void (*destructor)(void*),
                                                int (*compare)(void*, const char* a, size_t alen, const char* b,
                                                               size_t blen),
                                                const char* (*name)(void*));
void leveldb_comparator_destroy(leveldb_comparator_t*);

/* ---- Filter policies ---- */

/* A policy of the caller's. Its functions but the destructor are never called: reads are right without a filter. */
leveldb_filterpolicy_t* leveldb_filterpolicy_create(
    void* state, void (*destructor)(void*),
    char* (*create_filter)(void*, const char* const* key_array, const size_t* key_length_array, int num_keys,
                           size_t* filter_length),
    uint8_t (*key_may_match)(void*, const char* key, size_t length, const char* filter, size_t filter_length),
    const char* (*name)(void*));
void leveldb_filterpolicy_destroy(leveldb_filterpolicy_t*);

/* Bloom filters, the same as LevelDB's. */
leveldb_filterpolicy_t* leveldb_filterpolicy_create_bloom(int bits_per_key);

/* ---- Read options ---- */

leveldb_readoptions_t* leveldb_readoptions_create(void);
void leveldb_readoptions_destroy(leveldb_readoptions_t*);
void leveldb_readoptions_set_verify_checksums(leveldb_readoptions_t*, uint8_t);
void leveldb_readoptions_set_fill_cache(leveldb_readoptions_t*, uint8_t);
/* NULL reads what is there at the time of each read. */
void leveldb_readoptions_set_snapshot(leveldb_readoptions_t*, const leveldb_snapshot_t*);

/* ---- Write options ---- */

leveldb_writeoptions_t* leveldb_writeoptions_create(void);
void leveldb_writeoptions_destroy(leveldb_writeoptions_t*);
void leveldb_writeoptions_set_sync(leveldb_writeoptions_t*, uint8_t);

/* ---- Caches ---- */

leveldb_cache_t* leveldb_cache_create_lru(size_t capacity);
void leveldb_cache_destroy(leveldb_cache_t* cache);

/* ---- Environments ---- */

leveldb_env_t* leveldb_create_default_env(void);
void leveldb_env_destroy(leveldb_env_t*);
/* A directory for tests, made if it is missing: $TEST_TMPDIR, or one of the user's. */
char* leveldb_env_get_test_directory(leveldb_env_t*);

/* ---- The rest ---- */

/* Calls free(ptr). */
void leveldb_free(void* ptr);

/* The version of LevelDB whose API this is: 1 and 23. */
int leveldb_major_version(void);
int leveldb_minor_version(void);

#ifdef __cplusplus
}
#endif

#endif /* LEVEL_PARTY_LEVELDB_H_ */
