/// When memory that is free is given back: where there has been much of it for two looks in a row, so that what is about to be
/// used again stays; and the more seldom, the less came of it.
struct TrimRhythm {
    /// Until the next look.
    private(set) var pause = TrimRhythm.shortest
    private var looksWithMuch = 0

    private static let shortest = Duration.seconds(30)
    private static let longest = Duration.seconds(3600)
    /// So much is not worth it.
    static let keptBytes = 32 << 20

    var isDue: Bool { looksWithMuch >= 2 }

    mutating func looked(freeBytes: Int) { looksWithMuch = freeBytes > Self.keptBytes ? looksWithMuch + 1 : 0 }

    /// - Parameter returnedBytes: by which the process has become smaller. What is free may have been given back before.
    mutating func trimmed(returnedBytes: Int) {
        looksWithMuch = 0
        pause = returnedBytes >= 8 << 20 ? Self.shortest : min(pause * 2, Self.longest)
    }
}
