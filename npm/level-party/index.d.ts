import {
  AbstractBatchOperation, AbstractBatchOptions, AbstractChainedBatch, AbstractChainedBatchWriteOptions,
  AbstractDatabaseOptions, AbstractDelOptions, AbstractGetManyOptions, AbstractGetOptions, AbstractHasManyOptions,
  AbstractHasOptions, AbstractIterator, AbstractIteratorOptions, AbstractKeyIterator, AbstractKeyIteratorOptions, AbstractLevel,
  AbstractOpenOptions, AbstractPutOptions, AbstractSnapshot, AbstractSublevel, AbstractValueIterator,
  AbstractValueIteratorOptions, Transcoder
} from 'abstract-level'
import { EventEmitter } from 'events'
import { Readable, Writable } from 'stream'

/** A handle on the database in `dir`: callbacks or promises, streams and events, as level-party had them up to version 5. */
declare function level (dir: string, options?: level.HandleOptions, callback?: level.Callback<level.Handle>): level.Handle

declare namespace level {
  /** The function itself. */
  function level (dir: string, options?: HandleOptions, callback?: Callback<Handle>): Handle

  type Callback<T = void> = (err: Error | null | undefined, value: T) => void
  type Encoding<K = any> = string | Transcoder.PartialEncoding<any, K>

  /** What every failure of the database has besides its message. */
  interface LevelError extends Error {
    /** As in classic-level and abstract-level, or in the same form: 'LEVEL_LOCKED', 'LEVEL_TIMEOUT', ... */
    code: string
    /** By what a caller can do about it: 'Locked', 'Timeout', 'OutcomeUnknown', ... */
    kind?: string
    /** Whether the same call may succeed when it is made again, and does no harm. */
    retryable?: boolean
    /** Whether nothing was written, and never will be. */
    hadNoEffect?: boolean
  }

  /** Options of {@link Level}'s constructor. */
  interface DatabaseOptions<K, V> extends AbstractDatabaseOptions<K, V>, Omit<OpenOptions, 'passive'> {}

  /** Options of {@link Level.open}. The engine's are those of the process that opened the directory first. */
  interface OpenOptions extends AbstractOpenOptions {
    /** Of blocks in tables; `true` stands for snappy (the default). Minecraft Bedrock's worlds have 'zlib-raw'. */
    compression?: boolean | 'none' | 'snappy' | 'zlib-raw' | undefined
    /** Bytes of uncompressed blocks in memory. */
    cacheSize?: number | undefined
    /** Bytes of a memtable and its log. */
    writeBufferSize?: number | undefined
    /** About how many bytes a table's block has, uncompressed. */
    blockSize?: number | undefined
    /** Bytes of a table. */
    maxFileSize?: number | undefined
    /** Bits of bloom filters in new tables, a key. */
    bloomBitsPerKey?: number | undefined
    /** Bytes of logs that are kept for {@link Level.watch}. */
    watchHistoryBytes?: number | undefined
    /** Whether tables are read by memory maps. */
    mapTables?: boolean | undefined
    /** Whether calls are made again where this process has to open the database anew (default true). */
    retry?: boolean | undefined
    /** Whether writes through this handle fail. */
    rejectWrites?: boolean | undefined
    /** Whether writes are on stable storage when they resolve, unless they say so themselves. */
    sync?: boolean | undefined
    /** Whether this process may lead. 'never': another one must come; 'join': it must be there already. */
    lead?: 'auto' | 'never' | 'join' | undefined
    /** Milliseconds that opening may take. */
    openTimeout?: number | undefined
    /** Milliseconds that a call may wait for others. */
    timeout?: number | undefined
    /** Bytes of writes under way. */
    queueBytes?: number | undefined
    /** What a write does when those are taken: it waits, or fails with kind 'Busy'. */
    whenFull?: 'wait' | 'busy' | undefined
    /** Not needed: at most 500 tables are open, or as many as the process may have open. */
    maxOpenFiles?: number | undefined
    /** Not needed: always 16, as by default. */
    blockRestartInterval?: number | undefined
    /** Not needed: any number of threads and processes can have a directory open. */
    multithreading?: boolean | undefined
  }

  interface ReadOptions {
    /** Not needed: what is read once does not displace what is read again. */
    fillCache?: boolean | undefined
  }
  interface WriteOptions {
    /** Whether it is on stable storage when the call resolves. */
    sync?: boolean | undefined
  }

  interface GetOptions<K, V> extends AbstractGetOptions<K, V>, ReadOptions {}
  interface GetManyOptions<K, V> extends AbstractGetManyOptions<K, V>, ReadOptions {}
  interface HasOptions<K> extends AbstractHasOptions<K>, ReadOptions {}
  interface HasManyOptions<K> extends AbstractHasManyOptions<K>, ReadOptions {}
  interface PutOptions<K, V> extends AbstractPutOptions<K, V>, WriteOptions {}
  interface DelOptions<K> extends AbstractDelOptions<K>, WriteOptions {}
  interface BatchOptions<K, V> extends AbstractBatchOptions<K, V>, WriteOptions {}
  interface ChainedBatchWriteOptions extends AbstractChainedBatchWriteOptions, WriteOptions {}
  interface AdditionalIteratorOptions extends ReadOptions {
    /** A step of the iterator ends after the entry that goes over so many bytes (default 16 KiB). */
    highWaterMarkBytes?: number | undefined
  }
  type BatchOperation<TDatabase, K, V> = AbstractBatchOperation<TDatabase, K, V>
  type Iterator<TDatabase, K, V> = AbstractIterator<TDatabase, K, V>
  type KeyIterator<TDatabase, K> = AbstractKeyIterator<TDatabase, K>
  type ValueIterator<TDatabase, K, V> = AbstractValueIterator<TDatabase, K, V>
  type IteratorOptions<K, V> = AbstractIteratorOptions<K, V> & AdditionalIteratorOptions
  type KeyIteratorOptions<K> = AbstractKeyIteratorOptions<K> & AdditionalIteratorOptions
  type ValueIteratorOptions<K, V> = AbstractValueIteratorOptions<K, V> & AdditionalIteratorOptions
  type Snapshot = AbstractSnapshot
  interface StartEndOptions<K> {
    keyEncoding?: string | Transcoder.PartialEncoder<K> | undefined
  }
  interface EntryOptions<K, V> {
    keyEncoding?: string | Transcoder.PartialEncoding<K> | undefined
    valueEncoding?: string | Transcoder.PartialEncoding<V> | undefined
  }

  class ChainedBatch<TDatabase, KDefault, VDefault> extends AbstractChainedBatch<TDatabase, KDefault, VDefault> {
    write (): Promise<void>
    write (options: ChainedBatchWriteOptions): Promise<void>
  }

  type Role = 'leader' | 'follower' | 'electing'

  interface MemberStatus {
    pid: number
    program: string | null
    attachedForMs: number
    pins: number
    oldestPin: number | null
    oldestPinHeldForMs: number | null
    lastTrouble: { what: string, agoMs: number } | null
  }

  /** Who leads, who else has the database open, and how it is. */
  interface Status {
    role: Role
    pid: number
    leaderPid: number
    leaderProgram: string | null
    epoch: number
    lastSequence: number
    followers: number[]
    members: MemberStatus[]
    pins: number
    filesPerLevel: number[]
    bytesPerLevel: number[]
    memtableBytes: number
    losses: string[]
    backgroundError: string | null
    queuedCalls: number
    queuedBytes: number
    differingOptions: string[]
    [more: string]: unknown
  }

  interface Problem { file: string, offset: number | null, what: string }

  interface VerifyReport {
    problems: Problem[]
    tables: number
    blocks: number
    entries: number
    lastSequence: number
    losses: string[]
  }

  interface RepairReport {
    problems: Problem[]
    losses: string[]
    actions: string[]
    refusal: string | null
    lost: string[]
    aside: Array<[string, string]>
    done: boolean
  }

  interface Destroyed { removed: string[], left: string[], directoryRemoved: boolean }
  interface Yielded { leaderPid: number, epoch: number, handedOver: boolean }

  interface WatchOptions<K, V> extends EntryOptions<K, V> {
    gt?: K
    gte?: K
    lt?: K
    lte?: K
    /** Whose keys are watched, seen as it sees them. */
    sublevel?: AbstractSublevel<any, any, any, any>
    /** 'now' (the default), 'beginning', or a position that an item or a watch had. */
    from?: 'now' | 'beginning' | string
  }

  /** A committed change, or a gap: changes that can't be told any more. */
  type WatchItem<K, V> =
    | { type: 'put', key: K, value: V, sequence: number, position: string }
    | { type: 'del', key: K, value?: undefined, sequence: number, position: string }
    | { type: 'gap', from: number, resume: number, position: string }

  interface Watch<K, V> extends AsyncIterableIterator<WatchItem<K, V>> {
    /** Resolves once every change that is made from then on will be told. */
    ready (): Promise<this>
    /** Up to where everything was told; undefined until the watch is ready. */
    readonly position: string | undefined
    close (): Promise<void>
  }

  /** A transaction under way: what it reads is of one moment, and what it writes takes effect when it commits. */
  interface Transaction<K, V> {
    /** This transaction over the keys of a sublevel. */
    of<KSub, VSub> (sublevel: AbstractSublevel<any, any, KSub, VSub>): Transaction<KSub, VSub>
    get (key: K): Promise<V | undefined>
    get<KAs = K, VAs = V> (key: KAs, options: EntryOptions<KAs, VAs>): Promise<VAs | undefined>
    getMany (keys: K[]): Promise<Array<V | undefined>>
    getMany<KAs = K, VAs = V> (keys: KAs[], options: EntryOptions<KAs, VAs>): Promise<Array<VAs | undefined>>
    has (key: K): Promise<boolean>
    has<KAs = K> (key: KAs, options: EntryOptions<KAs, V>): Promise<boolean>
    put (key: K, value: V): void
    put<KAs = K, VAs = V> (key: KAs, value: VAs, options: EntryOptions<KAs, VAs>): void
    del (key: K): void
    del<KAs = K> (key: KAs, options: EntryOptions<KAs, V>): void
    batch (operations: Array<BatchOperation<any, K, V>>): void
    batch<KAs = K, VAs = V> (operations: Array<BatchOperation<any, KAs, VAs>>, options: EntryOptions<KAs, VAs>): void
    iterator<KAs = K, VAs = V> (options?: IteratorOptions<KAs, VAs>): AsyncGenerator<[KAs, VAs], void>
    keys<KAs = K> (options?: KeyIteratorOptions<KAs>): AsyncGenerator<KAs, void>
    values<KAs = K, VAs = V> (options?: ValueIteratorOptions<KAs, VAs>): AsyncGenerator<VAs, void>
  }

  /**
   * One LevelDB directory, shared with every other process that opens it. It is an {@link AbstractLevel}, and has all of
   * classic-level besides.
   */
  class Level<KDefault = string, VDefault = string>
    extends AbstractLevel<string | Buffer | Uint8Array, KDefault, VDefault> {
    constructor (location: string, options?: DatabaseOptions<KDefault, VDefault> | undefined)

    get location (): string

    open (): Promise<void>
    open (options: OpenOptions): Promise<void>

    get (key: KDefault): Promise<VDefault | undefined>
    get<K = KDefault, V = VDefault> (key: K, options: GetOptions<K, V>): Promise<V | undefined>

    getSync (key: KDefault): VDefault | undefined
    getSync<K = KDefault, V = VDefault> (key: K, options: GetOptions<K, V>): V | undefined

    getMany (keys: KDefault[]): Promise<Array<VDefault | undefined>>
    getMany<K = KDefault, V = VDefault> (keys: K[], options: GetManyOptions<K, V>): Promise<Array<V | undefined>>

    has (key: KDefault): Promise<boolean>
    has<K = KDefault> (key: K, options: HasOptions<K>): Promise<boolean>

    hasMany (keys: KDefault[]): Promise<boolean[]>
    hasMany<K = KDefault> (keys: K[], options: HasManyOptions<K>): Promise<boolean[]>

    put (key: KDefault, value: VDefault): Promise<void>
    put<K = KDefault, V = VDefault> (key: K, value: V, options: PutOptions<K, V>): Promise<void>

    del (key: KDefault): Promise<void>
    del<K = KDefault> (key: K, options: DelOptions<K>): Promise<void>

    batch (operations: Array<BatchOperation<typeof this, KDefault, VDefault>>): Promise<void>
    batch<K = KDefault, V = VDefault> (
      operations: Array<BatchOperation<typeof this, K, V>>, options: BatchOptions<K, V>
    ): Promise<void>
    batch (): ChainedBatch<typeof this, KDefault, VDefault>

    iterator (): Iterator<typeof this, KDefault, VDefault>
    iterator<K = KDefault, V = VDefault> (options: IteratorOptions<K, V>): Iterator<typeof this, K, V>

    keys (): KeyIterator<typeof this, KDefault>
    keys<K = KDefault> (options: KeyIteratorOptions<K>): KeyIterator<typeof this, K>

    values (): ValueIterator<typeof this, KDefault, VDefault>
    values<K = KDefault, V = VDefault> (options: ValueIteratorOptions<K, V>): ValueIterator<typeof this, K, V>

    snapshot (options?: any | undefined): Snapshot

    /** About how many bytes the tables hold of the keys from `start` to before `end`. */
    approximateSize (start: KDefault, end: KDefault): Promise<number>
    approximateSize<K = KDefault> (start: K, end: K, options: StartEndOptions<K>): Promise<number>

    /** Compacts the tables that have keys from `start` to before `end`. */
    compactRange (start: KDefault, end: KDefault): Promise<void>
    compactRange<K = KDefault> (start: K, end: K, options: StartEndOptions<K>): Promise<void>

    /** A property by LevelDB's name, or an empty string. */
    getProperty (property: string): string

    /** What this process is at the moment; undefined where the database is not open. */
    get role (): Role | undefined
    partyStatus (): Promise<Status>

    /** Runs `body` again until nobody changed meanwhile what it read; what it wrote then takes effect at one moment. */
    transaction<T> (body: (tx: Transaction<KDefault, VDefault>) => Promise<T> | T, options?: WriteOptions): Promise<T>

    /** Sets `key` to `next` (undefined: removes it) if it holds `expected` (undefined: nothing); else gives what it holds. */
    compareAndSwap (
      key: KDefault, expected: VDefault | undefined, next: VDefault | undefined
    ): Promise<{ swapped: boolean, value: VDefault | undefined }>
    compareAndSwap<K = KDefault, V = VDefault> (
      key: K, expected: V | undefined, next: V | undefined, options: EntryOptions<K, V>
    ): Promise<{ swapped: boolean, value: V | undefined }>

    /** The committed changes of all processes, in order. */
    watch (): Watch<KDefault, VDefault>
    watch<K = KDefault, V = VDefault> (options: WatchOptions<K, V>): Watch<K, V>

    /** Makes a copy of this moment in the directory `location`; gives the sequence number of the last write in it. */
    checkpoint (location: string): Promise<number>
    /** Looks at every block of every table. */
    verify (): Promise<VerifyReport>
    /** What openings left out or set aside because of damage, a sentence each. */
    losses (): Promise<string[]>
    /** Forgets the losses, and gives what they were. */
    acknowledgeLosses (): Promise<string[]>
    /** Has the leading process hand over to another one. */
    yieldLeadership (): Promise<Yielded>

    static destroy (location: string): Promise<Destroyed>
    static repair (location: string): Promise<RepairReport>
  }

  /** {@link Level} by the name it had in classic-level. */
  class ClassicLevel<KDefault = string, VDefault = string> extends Level<KDefault, VDefault> {}

  /** {@link Level} as rave-level had it: `location` is made absolute. It emits 'leader' when this process leads. */
  class RaveLevel<KDefault = string, VDefault = string> extends Level<KDefault, VDefault> {}

  interface HandleOptions extends OpenOptions {
    keyEncoding?: Encoding
    valueEncoding?: Encoding
  }

  interface RangeOptions {
    gt?: any
    gte?: any
    lt?: any
    lte?: any
    start?: any
    end?: any
    reverse?: boolean
    limit?: number
    keys?: boolean
    values?: boolean
    keyEncoding?: Encoding
    valueEncoding?: Encoding
    highWaterMark?: number
  }

  type Operation =
    | { type: 'put', key: any, value: any, keyEncoding?: Encoding, valueEncoding?: Encoding }
    | { type: 'del', key: any, keyEncoding?: Encoding }

  type CallOptions = { keyEncoding?: Encoding, valueEncoding?: Encoding, sync?: boolean }

  interface HandleBatch {
    readonly length: number
    put (key: any, value: any, options?: CallOptions): this
    del (key: any, options?: CallOptions): this
    clear (): this
    write (options?: CallOptions): Promise<void>
    write (callback: Callback): void
    write (options: CallOptions, callback: Callback): void
  }

  interface HandleIterator extends AsyncIterable<[any, any]> {
    next (): Promise<[any, any] | undefined>
    next (callback: (err: Error | null, key?: any, value?: any) => void): this
    seek (target: any): void
    end (): Promise<void>
    end (callback: Callback): void
  }

  /** What `level(dir)` gives. A get of a key that is not there fails with an error whose `notFound` is true. */
  interface Handle extends EventEmitter {
    /** The same database with the API of abstract-level 3. */
    readonly level: Level<any, any>
    readonly status: 'opening' | 'open' | 'closing' | 'closed'
    open (): Promise<this>
    open (callback: Callback<this>): void
    close (): Promise<void>
    close (callback: Callback): void
    isOpen (): boolean
    isOpening (): boolean
    isClosed (): boolean
    isOperational (): boolean
    get (key: any, options?: CallOptions): Promise<any>
    get (key: any, callback: Callback<any>): void
    get (key: any, options: CallOptions, callback: Callback<any>): void
    getMany (keys: any[], options?: CallOptions): Promise<any[]>
    getMany (keys: any[], callback: Callback<any[]>): void
    getMany (keys: any[], options: CallOptions, callback: Callback<any[]>): void
    put (key: any, value: any, options?: CallOptions): Promise<void>
    put (key: any, value: any, callback: Callback): void
    put (key: any, value: any, options: CallOptions, callback: Callback): void
    del (key: any, options?: CallOptions): Promise<void>
    del (key: any, callback: Callback): void
    del (key: any, options: CallOptions, callback: Callback): void
    batch (): HandleBatch
    batch (operations: Operation[], options?: CallOptions): Promise<void>
    batch (operations: Operation[], callback: Callback): void
    batch (operations: Operation[], options: CallOptions, callback: Callback): void
    clear (options?: RangeOptions): Promise<void>
    clear (callback: Callback): void
    clear (options: RangeOptions, callback: Callback): void
    iterator (options?: RangeOptions): HandleIterator
    createReadStream (options?: RangeOptions): Readable
    createKeyStream (options?: RangeOptions): Readable
    createValueStream (options?: RangeOptions): Readable
    createWriteStream (options?: CallOptions & { type?: 'put' | 'del', highWaterMark?: number }): Writable
    readStream (options?: RangeOptions): Readable
    keyStream (options?: RangeOptions): Readable
    valueStream (options?: RangeOptions): Readable
    writeStream (options?: CallOptions & { type?: 'put' | 'del', highWaterMark?: number }): Writable
  }
}

export = level
