// Package journal is a replica's own durable copy of the log: the exact bytes
// that it read, with epoch, seq, time and the chain after each entry.
//
// A replica votes for an entry only when its journal has it on disk. So what a
// majority voted for is on the disks of a majority, whatever becomes of the log.
//
// # Commit
//
// Append queues an entry and returns. One goroutine writes what has gathered and
// syncs it, once for all of it, while the next entries gather: an idle journal adds
// one fsync of latency, a busy one pays a share of it. Options.OnSync tells how far
// the journal is durable.
//
// Where writing fails, as on a full disk, nothing is lost and nothing is claimed: the
// entries stay queued, Err says why, and writing is tried again until it works.
//
// # Files
//
// The journal is a run of segments, numbered files that are only appended to, over zeros that are
// written ahead, a megabyte at a time, so that a sync is of data alone. The
// header of a segment names the position after which it goes on. Usually that is
// the last one of the segment before; where it is an earlier one, the
// entries of earlier segments after it are void (Rewind), and where it is not
// in them, all of them are (Reset). So every change of course is the
// creation of one file. See docs/format/journal.md for the bytes.
//
// # What a crash leaves, and what damage is
//
// A batch is written after the one before it was synced, and its first record says so.
// On Open, a record that is not whole with nothing but leftovers of its own batch after it
// is where a crash stopped the writing: it was never durable, and is cut off.
// One with a later batch or segment after it was durable once: that is damage. What follows is
// cut off too, but not forgotten: the journal keeps the last position that it once had as its
// Fence, and refuses to go past it on another chain.
package journal
