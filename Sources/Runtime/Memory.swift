import CLinux

/// Keeps glibc's allocator to two arenas. By default it makes eight a core, each holding on to memory that only one
/// thread may use again; a sidecar has few threads that allocate, and its resident memory is somebody else's.
public func limitMemoryArenas() {
    mallopt(M_ARENA_MAX, 2)
    mallopt(M_TRIM_THRESHOLD, 512 * 1024)
}
