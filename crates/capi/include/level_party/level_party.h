/* What level-party has beyond LevelDB's C API: errors with kinds, watches, transactions, sublevels, and how a process takes
   part. It uses the objects of `leveldb.h`, and what every call keeps to is told there.

   Every call that can fail gives an `lp_error_t*`: NULL where it succeeded, else an error that the caller destroys. What a
   call gives besides goes to places that the caller names; such a place may be NULL where its value is not wanted, unless
   the value has to be destroyed. After a failure the places hold NULL and 0.

     lp_error_t* error = lp_put(db, "a", 1, "1", 1, 0);
     if (error != NULL) {
       fprintf(stderr, "%s: %s\n", lp_kind_name(lp_error_kind(error)), lp_error_message(error));
       lp_error_destroy(error);
     }
*/

#ifndef LEVEL_PARTY_LEVEL_PARTY_H_
#define LEVEL_PARTY_LEVEL_PARTY_H_

#include "level_party/leveldb.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define LP_MUST_USE __attribute__((warn_unused_result))
#else
#define LP_MUST_USE
#endif

/* ---- Errors ---- */

/* What went wrong, by what a program can do about it. The numbers never change; later versions may add kinds. */
typedef enum lp_kind_t {
  LP_OK = 0,
  LP_NOT_FOUND = 1,               /* there is no database, and create_if_missing is off; or no directory to make one in */
  LP_ALREADY_EXISTS = 2,          /* there is a database, and error_if_exists is on */
  LP_NOT_A_DIRECTORY = 3,         /* the name is that of a file */
  LP_PERMISSION_DENIED = 4,       /* the system does not let this user at the directory */
  LP_LOCKED = 5,                  /* a program has it that is no party member; the message names it */
  LP_UNSUPPORTED_FILESYSTEM = 6,  /* locks or sockets cannot be trusted there */
  LP_INCOMPATIBLE_VERSION = 7,    /* another version of level-party has it open or has left it so */
  LP_TIMEOUT = 8,                 /* not done within its time; nothing was written. The message names who was waited for */
  LP_CONNECTION_LOST = 9,         /* the leader went in the middle of work it did for this process; ask again */
  LP_OUTCOME_UNKNOWN = 10,        /* a write may have taken effect: read what is there, then decide */
  LP_SNAPSHOT_LOST = 11,          /* the moment can't be read any more: take a new snapshot or iterator */
  LP_CORRUPTION = 12,             /* stored bytes are not what they must be; the message names file and offset */
  LP_INVALID_ARGUMENT = 13,       /* the call can never work */
  LP_OUT_OF_SPACE = 14,           /* the disk is full */
  LP_CLOSED = 15,                 /* the database or the watch was closed */
  LP_FORKED = 16,                 /* it was opened before fork: open it again in the child */
  LP_PROTOCOL = 17,               /* another process said what none says */
  LP_IO = 18,                     /* anything else that the system refused */
  LP_CONFLICT = 19,               /* a transaction was overtaken by others until its time was over; nothing was written */
  LP_BUSY = 20,                   /* as many processes as can be have the database open */
  LP_READ_ONLY = 21,              /* the database was opened to reject writes */
  LP_ENCODING = 22,               /* stored bytes could not be decoded */
  LP_NO_LEADER = 23,              /* no process has it open, and this one was to join (LP_LEAD_JOIN) */
  LP_UNSUPPORTED = 24,            /* the directory is another product's; nothing was changed */
  LP_ABORTED = 25,                /* a transaction's body gave up: an error of lp_error_create */
  LP_INTERNAL = 26,               /* a bug of this library */
  LP_MOVED = 27                   /* the database was moved (level-party copy); the message says where. Nothing was written */
} lp_kind_t;

typedef struct lp_error_t lp_error_t;

/* These four take NULL too: no error. The message is a sentence that says what to do next; it lives as long as the error. */
lp_kind_t lp_error_kind(const lp_error_t* error);
const char* lp_error_message(const lp_error_t* error);
/* Whether the same call may succeed when it is made again, and does no harm. */
uint8_t lp_error_is_retryable(const lp_error_t* error);
/* Whether the call has written nothing, and never will. */
uint8_t lp_error_had_no_effect(const lp_error_t* error);

/* An error of the caller's own, of the kind LP_ABORTED: for a transaction's body that gives up. */
lp_error_t* lp_error_create(const char* message);
/* NULL is left alone. */
void lp_error_destroy(lp_error_t* error);

/* "LP_TIMEOUT" and so on; "" for a number that is none. */
const char* lp_kind_name(lp_kind_t kind);
/* The kind of the error that a call of this thread gave last, whatever it was told by: for the `errptr` of LevelDB's calls. */
lp_kind_t lp_last_kind(void);

/* ---- How a process takes part ---- */

typedef enum lp_lead_t {
  LP_LEAD_AUTO = 0,  /* it leads when nobody else does: the default */
  LP_LEAD_NEVER = 1, /* it never leads: opening waits for another process that does */
  LP_LEAD_JOIN = 2   /* it never leads: opening fails with LP_NO_LEADER where no process has the database open */
} lp_lead_t;

void lp_options_set_lead(leveldb_options_t* options, lp_lead_t lead);
/* How long opening waits for those who have the directory (10,000 ms), and a call for its turn (30,000 ms). */
void lp_options_set_open_timeout(leveldb_options_t* options, uint64_t ms);
void lp_options_set_timeout(leveldb_options_t* options, uint64_t ms);
/* Whether writes are refused with LP_READ_ONLY, and nothing is created (no). */
void lp_options_set_reject_writes(leveldb_options_t* options, uint8_t yes);
/* Whether calls and iterators go on where this process has to open the database anew in the middle of them (yes). */
void lp_options_set_retry(leveldb_options_t* options, uint8_t yes);
/* Whether each write is synced, whatever its own options say (no). */
void lp_options_set_sync(leveldb_options_t* options, uint8_t yes);
/* Bytes of logs that are kept for watches that are behind (4 MiB). 0: nobody can watch. */
void lp_options_set_watch_history(leveldb_options_t* options, size_t bytes);
/* Bytes of writes that this process has under way at once; others wait (64 MiB). */
void lp_options_set_queue_bytes(leveldb_options_t* options, size_t bytes);
/* Whether tables are read through mapped memory (no): faster, but a disk that can't give a page ends the process by SIGBUS. */
void lp_options_set_map_tables(leveldb_options_t* options, uint8_t yes);
/* Whether opening raises the process's soft limit of open files to the hard one (yes). */
void lp_options_set_raise_descriptor_limit(leveldb_options_t* options, uint8_t yes);

/* For leveldb_options_set_compression: raw deflate, as worlds of Minecraft Bedrock have it. */
enum { lp_zlib_raw_compression = 4 };

/* ---- Databases: LevelDB's calls with errors that have kinds ---- */

LP_MUST_USE lp_error_t* lp_open(const leveldb_options_t* options, const char* name, leveldb_t** db);

/* A part of `db` whose keys begin with "!name!", seen without that: the layout of Node's abstract-level. It is a database in
   all calls; those that are about a whole database (properties, checkpoints, the status) are about the one that it is a part
   of. It is closed as one too, which closes nothing else. Parts have parts. */
LP_MUST_USE lp_error_t* lp_sublevel(leveldb_t* db, const char* name, leveldb_t** sublevel);

/* The value of `key`, made by malloc; NULL where there is none. */
LP_MUST_USE lp_error_t* lp_get(leveldb_t* db, const leveldb_readoptions_t* options, const char* key, size_t keylen,
                               char** value, size_t* vallen);
/* With `sync` it returns once the write survives a loss of power. */
LP_MUST_USE lp_error_t* lp_put(leveldb_t* db, const char* key, size_t keylen, const char* val, size_t vallen, uint8_t sync);
LP_MUST_USE lp_error_t* lp_delete(leveldb_t* db, const char* key, size_t keylen, uint8_t sync);
/* Gives the sequence number of the batch's last operation, by which a watch tells it. */
LP_MUST_USE lp_error_t* lp_write(leveldb_t* db, leveldb_writebatch_t* batch, uint8_t sync, uint64_t* sequence);

/* Sets `key` to `new_value` (NULL: removes it) if it holds `expected` (NULL: nothing), at one moment for every process.
   `swapped` says whether it did; if not, `held` gives what it holds instead (made by malloc; NULL: nothing). */
LP_MUST_USE lp_error_t* lp_compare_and_swap(leveldb_t* db, const char* key, size_t keylen, const char* expected,
                                            size_t expectedlen, const char* new_value, size_t newlen, uint8_t* swapped,
                                            char** held, size_t* heldlen);

/* In these three a range has the keys from `start` on and before `limit` (of a compaction: and `limit`); NULL is no bound. */

/* Removes the entries of a range, at one moment where they fit into one batch, and counts them. */
LP_MUST_USE lp_error_t* lp_clear(leveldb_t* db, const char* start, size_t startlen, const char* limit, size_t limitlen,
                                 uint64_t* count);
LP_MUST_USE lp_error_t* lp_compact_range(leveldb_t* db, const char* start, size_t startlen, const char* limit,
                                         size_t limitlen);

/* What keeps an iterator from standing anywhere. */
LP_MUST_USE lp_error_t* lp_iter_error(const leveldb_iterator_t* iterator);

/* Makes a copy of the database in the directory `name`, which must not exist, while all go on; gives the sequence number of
   the last write in it. */
LP_MUST_USE lp_error_t* lp_checkpoint(leveldb_t* db, const char* name, uint64_t* sequence);

/* Who leads, who else has the database open, and how it is: one JSON object, made by malloc. */
LP_MUST_USE lp_error_t* lp_status(leveldb_t* db, char** json);

/* ---- Transactions ---- */

typedef struct lp_transaction_t lp_transaction_t;

/* Runs `body`, whose reads are of one moment, and makes what it writes at one moment for every process, if nobody changed
   meanwhile what it read; else `body` runs again. So it must do nothing beyond the transaction that can't be done twice.

   The body returns NULL to commit. It gives up with an error, which it got from one of these calls or from lp_error_create:
   nothing is written then, and the error is what lp_transaction gives. The transaction is used inside the body alone, by its
   thread. */
LP_MUST_USE lp_error_t* lp_transaction(leveldb_t* db, lp_error_t* (*body)(void* state, lp_transaction_t* transaction),
                                       void* state);

LP_MUST_USE lp_error_t* lp_transaction_get(lp_transaction_t* transaction, const char* key, size_t keylen, char** value,
                                           size_t* vallen);
LP_MUST_USE lp_error_t* lp_transaction_put(lp_transaction_t* transaction, const char* key, size_t keylen, const char* val,
                                           size_t vallen);
LP_MUST_USE lp_error_t* lp_transaction_delete(lp_transaction_t* transaction, const char* key, size_t keylen);
/* Whether what it writes is synced. */
LP_MUST_USE lp_error_t* lp_transaction_set_sync(lp_transaction_t* transaction, uint8_t yes);
/* Calls `visit` for each entry of a range, what the transaction wrote among them, as long as it returns other than 0;
   `backward` goes from the last one on. What is visited is read: it is watched for changes, and so are the gaps between. */
LP_MUST_USE lp_error_t* lp_transaction_iterate(lp_transaction_t* transaction, const char* start, size_t startlen,
                                               const char* limit, size_t limitlen, uint8_t backward, void* state,
                                               uint8_t (*visit)(void* state, const char* key, size_t keylen,
                                                                const char* value, size_t vallen));

/* ---- Watches ---- */

typedef struct lp_watch_t lp_watch_t;

/* Where a watch begins. */
typedef enum lp_watch_from_t {
  LP_WATCH_NOW = 0,       /* with the first change after this call */
  LP_WATCH_BEGINNING = 1, /* with the oldest change that is kept */
  LP_WATCH_AFTER = 2      /* after a position that another watch gave, of this process or an earlier one */
} lp_watch_from_t;

typedef enum lp_change_kind_t {
  LP_CHANGE_NONE = 0,   /* nothing came within the time */
  LP_CHANGE_PUT = 1,    /* `key` was set to `value` */
  LP_CHANGE_DELETE = 2, /* `key` was removed */
  LP_CHANGE_GAP = 3     /* changes from `sequence` on are not kept any more; it goes on with `resume`. Whoever has to know all
                           reads the range anew */
} lp_change_kind_t;

typedef struct lp_change_t {
  int kind;          /* of lp_change_kind_t */
  uint64_t sequence; /* of the change: each change of the database has the next number */
  const char* key;   /* these two point into the watch, until the next call of lp_watch_next */
  size_t keylen;
  const char* value;
  size_t vallen;
  uint64_t resume;   /* of a gap */
} lp_change_t;

/* Follows the committed changes of the keys from `start` on and before `limit` (NULL: no bound), made by whichever process:
   each once, in order, whoever leads. `position` is read with LP_WATCH_AFTER alone. */
LP_MUST_USE lp_error_t* lp_watch_create(leveldb_t* db, const char* start, size_t startlen, const char* limit,
                                        size_t limitlen, lp_watch_from_t from, const char* position, lp_watch_t** watch);

/* Waits for the next change, so many milliseconds at most; below 0: for ever. An error other than LP_TIMEOUT ends the watch. */
LP_MUST_USE lp_error_t* lp_watch_next(lp_watch_t* watch, int64_t timeout_ms, lp_change_t* change);

/* Up to where everything was told, as a string made by malloc: keep it with what was made of the changes, and begin the next
   watch after it. It waits for a call of lp_watch_next that is under way. */
char* lp_watch_position(lp_watch_t* watch);

/* Ends the watch, from any thread: whoever waits for a change is told LP_CLOSED. */
void lp_watch_close(lp_watch_t* watch);
void lp_watch_destroy(lp_watch_t* watch);

#ifdef __cplusplus
}
#endif

#endif /* LEVEL_PARTY_LEVEL_PARTY_H_ */
