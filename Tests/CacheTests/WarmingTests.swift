import Runtime
import Synchronization
import Testing

@testable import Cache

@Suite struct WarmingTests {
    @Test func theHottestKeysAreSavedAndFetchedAtTheNextStart() async throws {
        let before = LocalCache(.lru) { $0.admitsOnSecondSight = false }
        for number in 0..<20 { before.set("key \(number)", "v", at: 0) }
        for number in 10..<20 { for _ in 0..<number { _ = before.get("key \(number)", at: 1) } }
        let list = HotKeyList(of: before, limit: 5, nowMs: 1)
        #expect(
            list.entries.map { String(decoding: $0.key, as: UTF8.self) } == (15..<20).reversed().map { "key \($0)" })

        let folder = try TemporaryFolder("hot")
        let file = StateFile(folder.path + "/hot_keys")
        try list.save(file)
        let saved = try HotKeyList.load(file)
        #expect(saved == list)

        let after = LocalCache(.lru) { $0.admitsOnSecondSight = true }
        let result = await after.warm(saved, atOnce: 2, now: { 0 }) { _, key in
            switch String(decoding: key, as: UTF8.self) {
            case "key 15": nil
            case "key 16": throw CancellationError()
            default: FetchedValue(key)
            }
        }
        #expect(result == WarmingResult(stored: 3, skipped: 1, failed: 1))
        #expect(after.get("key 19", at: 1) == "key 19")
        #expect(after.usage.fillsInFlight == 0)
    }

    @Test func keysOfAnyBytesSurviveTheFile() {
        let key = (0...255).map { UInt8($0) }
        let list = HotKeyList([.init(className: "a b", key: key), .init(className: "c", key: [])])
        #expect(HotKeyList(encoded: list.encoded) == list)
        #expect(HotKeyList(encoded: Array("nonsense\n".utf8)) == nil)
        #expect(HotKeyList(encoded: Array("a %4".utf8)) == nil)
    }

    @Test func aKeyOfAClassThatIsGoneIsSkipped() async {
        let cache = LocalCache()
        let result = await cache.warm(HotKeyList([.init(className: "gone", key: [1])]), now: { 0 }) { _, key in
            FetchedValue(key)
        }
        #expect(result == WarmingResult(stored: 0, skipped: 1, failed: 0))
    }

    @Test func noMoreThanAskedForIsFetchedAtOnce() async {
        let cache = LocalCache()
        let list = HotKeyList((0..<40).map { HotKeyList.Entry(className: "default", key: [UInt8($0)]) })
        let running = Mutex((now: 0, most: 0))
        let result = await cache.warm(list, atOnce: 3, now: { 0 }) { _, key in
            running.withLock {
                $0.now += 1
                $0.most = max($0.most, $0.now)
            }
            await Task.yield()
            running.withLock { $0.now -= 1 }
            return FetchedValue(key)
        }
        #expect(result.stored == 40)
        #expect(running.withLock { $0.most } <= 3)
    }
}
