#pragma once

namespace ee::sqlite {

// The name of a VFS, over the default one, for connections with synchronous=FULL and cache_spill=OFF: what a
// commit adds to the write-ahead log, two small writes a page, is gathered in memory and written at once
// before the log is synced, all within the commit. Other connections look at it only after that. A write that
// fails is told by the sync. Were pages written before the commit, those of one that is undone would be left,
// and come to lie over what others have written since.
const char* gathered_log_vfs();

}  // namespace ee::sqlite
