import CZlib

/// Bytes made smaller with zlib and brought back, without any wrapper (RFC 1951): for our own memory, where length and
/// origin are known.
public enum Deflate {
    /// - Parameter limit: bytes that the result may have at most.
    /// - Returns: nil when the result would be longer than `limit`, which is found out without writing more than that.
    public static func compress(_ bytes: Span<UInt8>, limit: Int, level: Int32 = 1) -> [UInt8]? {
        var stream = z_stream()
        let opened = deflateInit2_(
            &stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard opened == Z_OK, limit > 0 else { return nil }
        defer { deflateEnd(&stream) }
        let result = bytes.withUnsafeBufferPointer { source in
            [UInt8](unsafeUninitializedCapacity: limit) { target, count in
                stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
                stream.avail_in = UInt32(source.count)
                stream.next_out = target.baseAddress
                stream.avail_out = UInt32(limit)
                count = deflate(&stream, Z_FINISH) == Z_STREAM_END ? limit - Int(stream.avail_out) : 0
            }
        }
        return result.isEmpty ? nil : result
    }

    /// Appends what was compressed to `output`.
    ///
    /// - Parameter length: of the original. Never more is written, whatever the bytes say.
    /// - Returns: false when the bytes are not the compressed form of something that long; `output` is then unchanged.
    public static func expand(_ bytes: Span<UInt8>, length: Int, into output: inout [UInt8]) -> Bool {
        var stream = z_stream()
        guard inflateInit2_(&stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            return false
        }
        defer { inflateEnd(&stream) }
        let start = output.count
        var isWhole = false
        output.append(addingCapacity: length) { target in
            bytes.withUnsafeBufferPointer { source in
                target.withUnsafeMutableBufferPointer { free, count in
                    stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
                    stream.avail_in = UInt32(source.count)
                    stream.next_out = free.baseAddress
                    stream.avail_out = UInt32(length)
                    isWhole = inflate(&stream, Z_FINISH) == Z_STREAM_END
                    count = length - Int(stream.avail_out)
                }
            }
        }
        guard isWhole, output.count == start + length else {
            output.removeLast(output.count - start)
            return false
        }
        return true
    }
}
