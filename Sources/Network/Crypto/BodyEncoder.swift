import CBrotli
import CZlib
import Runtime

/// Makes a body smaller while it passes: gzip by zlib, or Brotli. The one owner of the libraries' states.
public final class BodyEncoder {
    public enum Coding: String, Sendable, CaseIterable {
        case brotli = "br"
        case gzip
    }

    private enum State {
        case brotli(OpaquePointer)
        case gzip(UnsafeMutablePointer<z_stream>)
    }

    private let state: State

    /// - Parameters:
    ///   - level: 0 to 11 for Brotli, 1 to 9 for gzip.
    ///   - sizeHint: bytes of the whole body, 0 where that is not known.
    /// - Returns: nil when there is no memory for it.
    public init?(_ coding: Coding, level: Int, sizeHint: Int = 0) {
        switch coding {
        case .brotli:
            guard let made = BrotliEncoderCreateInstance(nil, nil, nil) else { return nil }
            state = .brotli(made)
            BrotliEncoderSetParameter(made, BROTLI_PARAM_QUALITY, UInt32(clamping: level))
            // 256 KiB: more costs memory for each answer under way, and saves little on what is sent by services.
            BrotliEncoderSetParameter(made, BROTLI_PARAM_LGWIN, 18)
            BrotliEncoderSetParameter(made, BROTLI_PARAM_SIZE_HINT, UInt32(clamping: sizeHint))
        case .gzip:
            let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
            stream.initialize(to: z_stream())
            state = .gzip(stream)
            guard outrigger_gzip_init(stream, Int32(clamping: level)) == Z_OK else { return nil }
        }
    }

    deinit {
        switch state {
        case .brotli(let made): BrotliEncoderDestroyInstance(made)
        case .gzip(let stream):
            deflateEnd(stream)
            stream.deinitialize(count: 1)
            stream.deallocate()
        }
    }

    public enum Ending {
        /// What is added may wait inside for more.
        case none
        /// All that was added comes out, so that whoever reads can use it.
        case flush
        case finish
    }

    /// Adds a piece of the body.
    ///
    /// - Returns: false when the library failed, after which the body is lost.
    public func add(_ bytes: Span<UInt8>, _ ending: Ending, into output: inout [UInt8]) -> Bool {
        switch state {
        case .brotli(let made): Self.brotli(made, bytes, ending, &output)
        case .gzip(let stream): Self.gzip(stream, bytes, ending, &output)
        }
    }

    private static func brotli(
        _ made: OpaquePointer, _ bytes: Span<UInt8>, _ ending: Ending, _ output: inout [UInt8]
    ) -> Bool {
        let operation =
            switch ending {
            case .none: BROTLI_OPERATION_PROCESS
            case .flush: BROTLI_OPERATION_FLUSH
            case .finish: BROTLI_OPERATION_FINISH
            }
        return bytes.withUnsafeBufferPointer { source in
            var left = source.count
            var next = source.baseAddress
            while true {
                var room = 0
                guard BrotliEncoderCompressStream(made, operation, &left, &next, &room, nil, nil) != BROTLI_FALSE else {
                    return false
                }
                while BrotliEncoderHasMoreOutput(made) != BROTLI_FALSE {
                    var count = 0
                    guard let start = BrotliEncoderTakeOutput(made, &count), count > 0 else { break }
                    output.append(contentsOf: UnsafeBufferPointer(start: start, count: count))
                }
                let isFinished = ending != .finish || BrotliEncoderIsFinished(made) != BROTLI_FALSE
                if left == 0, isFinished { return true }
            }
        }
    }

    private static func gzip(
        _ stream: UnsafeMutablePointer<z_stream>, _ bytes: Span<UInt8>, _ ending: Ending, _ output: inout [UInt8]
    ) -> Bool {
        let flush =
            switch ending {
            case .none: Z_NO_FLUSH
            case .flush: Z_SYNC_FLUSH
            case .finish: Z_FINISH
            }
        return bytes.withUnsafeBufferPointer { source in
            stream.pointee.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
            stream.pointee.avail_in = UInt32(clamping: source.count)
            while true {
                var result = Z_OK
                var isFull = false
                output.append(addingCapacity: 16 << 10) { target in
                    target.withUnsafeMutableBufferPointer { free, count in
                        let room = free.count - count
                        stream.pointee.next_out = free.baseAddress.map { $0 + count }
                        stream.pointee.avail_out = UInt32(clamping: room)
                        result = deflate(stream, flush)
                        isFull = stream.pointee.avail_out == 0
                        count += room - Int(stream.pointee.avail_out)
                    }
                }
                switch result {
                case Z_STREAM_END: return true
                case Z_OK: if !isFull, ending != .finish { return true }
                // Nothing was left to be done.
                case Z_BUF_ERROR: if !isFull { return ending != .finish }
                default: return false
                }
            }
        }
    }
}
