//! How `RocksDB` is tuned for the log and for the state.
//!
//! Memory for both engines of a node, at most: memtables 80 + 64 MiB, block caches
//! 8 + 32 MiB, and what open files keep; the aim is 200 MiB.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompactionStyle,
    DBCompressionType, DBRecoveryMode, DataBlockIndexType, LogLevel, Options, ReadOptions,
    UniversalCompactOptions, WriteBufferManager, WriteOptions,
};
use stellara_raft_store::engine::{Purpose, Space};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

const OPEN_FILES_MAX: i32 = 256;
const INFO_LOG_BYTES_MAX: usize = MIB;
/// Log files kept for reuse: a sync of one that is not growing needs no size update.
const RECYCLED_LOGS: usize = 2;
/// A small space with rows in an old log is flushed when logs exceed this.
const LOG_WAL_BYTES_MAX: u64 = 96 * MIB as u64;
const LOG_CACHE_BYTES: usize = 8 * MIB;
const STATE_CACHE_BYTES: usize = 32 * MIB;
const STATE_MEMTABLES_BYTES: usize = 64 * MIB;
const BLOOM_BITS_PER_KEY: f64 = 10.0;
/// Sorted runs of a space before some are merged: what a look-up asks the filters of.
const SORTED_RUNS_MAX: i32 = 8;
const SORTED_RUNS_MERGED_MIN: i32 = 4;
const SORTED_RUNS_SIZE_RATIO_PERCENT: i32 = 20;

/// How flushes and compactions reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BackgroundWrites {
    /// Past the page cache: nobody reads these bytes soon, and copying them costs as much as making them.
    Direct,
    /// Through it, where the file system takes no others.
    Cached,
}

/// Options of the database as a whole.
pub(crate) fn database(purpose: Purpose, writes: BackgroundWrites) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(INFO_LOG_BYTES_MAX);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_use_direct_io_for_flush_and_compaction(writes == BackgroundWrites::Direct);
    options.set_unordered_write(false);
    options.set_enable_pipelined_write(false);
    match purpose {
        Purpose::Log => {
            // Point in time stops at the first bad record; `wal` has told by then whether that
            // is a torn tail, and `store` checks that the replay went as far as `wal` saw.
            options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
            options.set_recycle_log_file_num(RECYCLED_LOGS);
            options.set_manual_wal_flush(false);
            options.set_wal_bytes_per_sync(0);
            options.set_max_total_wal_size(LOG_WAL_BYTES_MAX);
        }
        Purpose::State => {
            // All spaces flush together: a crash leaves a prefix of the batches.
            options.set_atomic_flush(true);
            let stall = false;
            let memtables =
                WriteBufferManager::new_write_buffer_manager(STATE_MEMTABLES_BYTES, stall);
            options.set_write_buffer_manager(&memtables);
            options.set_bytes_per_sync(MIB as u64);
        }
    }
    options
}

/// The spaces' column families, and the default one that `RocksDB` insists on.
pub(crate) fn families(purpose: Purpose) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(match purpose {
        Purpose::Log => LOG_CACHE_BYTES,
        Purpose::State => STATE_CACHE_BYTES,
    });
    let family = |space: Space| {
        let options = match purpose {
            Purpose::Log => log_family(space, &cache),
            Purpose::State => state_family(space, &cache),
        };
        ColumnFamilyDescriptor::new(space.name(), options)
    };
    // It stays empty; its memtable's size counts in how much of a log is preallocated.
    let mut empty = Options::default();
    empty.set_write_buffer_size(MIB);
    let default = ColumnFamilyDescriptor::new("default", empty);
    Space::ALL
        .into_iter()
        .map(family)
        .chain([default])
        .collect()
}

/// Entries live minutes and are removed in order: most never leave the memtable.
fn log_family(space: Space, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(match space {
        Space::Entries => 32 * MIB,
        Space::Rows => 4 * MIB,
        Space::Payments | Space::Keys => MIB,
    });
    options.set_max_write_buffer_number(2);
    options.set_compaction_style(DBCompactionStyle::Level);
    options.set_compression_type(DBCompressionType::None);
    options.set_block_based_table_factory(&table(cache));
    options
}

fn state_family(space: Space, cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(16 * MIB);
    options.set_max_write_buffer_number(4);
    // A level's files would be merged again with every flush: progress and keys touch all of its range.
    let mut universal = UniversalCompactOptions::default();
    universal.set_size_ratio(SORTED_RUNS_SIZE_RATIO_PERCENT);
    universal.set_min_merge_width(SORTED_RUNS_MERGED_MIN);
    options.set_compaction_style(DBCompactionStyle::Universal);
    options.set_universal_compaction_options(&universal);
    options.set_level_zero_file_num_compaction_trigger(SORTED_RUNS_MAX);
    options.set_compression_type(DBCompressionType::Lz4);
    let mut table = table(cache);
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    table.set_whole_key_filtering(true);
    match space {
        // Look-ups of keys that are mostly absent end at a filter: the memtables' own, or a
        // partition that the cache holds.
        Space::Keys => {
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(0.1);
            table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
            table.set_partition_filters(true);
            table.set_metadata_block_size(4 * KIB);
            table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        }
        Space::Rows => table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash),
        Space::Payments | Space::Entries => {}
    }
    options.set_block_based_table_factory(&table);
    options
}

fn table(cache: &Cache) -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    // Counted in the cache, so that memory stays bounded however many rows there are.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(6);
    table.set_block_size(8 * KIB);
    table
}

/// Reads verify block checksums.
pub(crate) fn reads() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options
}

pub(crate) fn writes(purpose: Purpose) -> WriteOptions {
    let mut options = WriteOptions::default();
    match purpose {
        Purpose::Log => options.set_sync(true),
        Purpose::State => options.disable_wal(true),
    }
    options
}
