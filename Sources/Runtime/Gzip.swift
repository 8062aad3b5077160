import CZlib

/// Bytes made smaller with zlib, in a gzip wrapper (RFC 1952).
public enum Gzip {
    /// Compressed text in one piece. Level 1 is what a scrape wants: levels above it cost a multiple of the time for a
    /// tenth of the bytes.
    public static func compress(_ bytes: [UInt8], level: Int32 = 1) -> [UInt8]? {
        var stream = z_stream()
        guard outrigger_gzip_init(&stream, level) == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        let bound = Int(deflateBound(&stream, UInt(bytes.count)))
        return bytes.withUnsafeBytes { source in
            [UInt8](unsafeUninitializedCapacity: bound) { target, count in
                stream.next_in = UnsafeMutablePointer(mutating: source.bindMemory(to: UInt8.self).baseAddress)
                stream.avail_in = UInt32(bytes.count)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(bound)
                let result = deflate(&stream, Z_FINISH)
                count = result == Z_STREAM_END ? bound - Int(stream.avail_out) : 0
            }
        }
    }
}
