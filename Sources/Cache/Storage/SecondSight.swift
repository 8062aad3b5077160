/// Admits a key only when it comes a second time: two Bloom filters of one hash, the older one thrown away when the
/// newer has taken in as many keys as it is meant for.
///
/// 16 KiB; of keys seen once, about one in eight is let in by mistake when the filters are full.
struct SecondSight {
    private static let bits = 1 << 16
    private static let keysPerGeneration = bits / 16

    private var current = [UInt64](repeating: 0, count: SecondSight.bits / 64)
    private var previous = [UInt64](repeating: 0, count: SecondSight.bits / 64)
    private var keys = 0

    /// Whether the key was seen before; it is now.
    mutating func admits(_ hash: UInt64) -> Bool {
        let place = Int(hash >> 40) & (SecondSight.bits - 1)
        let (word, bit) = (place >> 6, UInt64(1) << UInt64(place & 63))
        if current[word] & bit != 0 { return true }
        let wasSeen = previous[word] & bit != 0
        current[word] |= bit
        keys += 1
        if keys >= SecondSight.keysPerGeneration { turn() }
        return wasSeen
    }

    private mutating func turn() {
        swap(&current, &previous)
        for index in current.indices { current[index] = 0 }
        keys = 0
    }
}
