import Glibc
import Synchronization
import Testing

@testable import Runtime

@Suite struct WorkThreadTests {
    private final class Turns: Sendable {
        private let count = Atomic<Int>(0)

        func add() { count.add(1, ordering: .relaxed) }

        func reach(_ target: Int) async throws {
            let deadline = Deadline.after(.seconds(120))
            while count.load(ordering: .relaxed) < target {
                try #require(!deadline.hasPassed)
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }

    @Test func aTurnComesAtTheStartAndWheneverItIsWoken() async throws {
        let (thread, turns) = (WorkThread("test-turns"), Turns())
        thread.start {
            turns.add()
            return nil
        }
        try await turns.reach(1)
        thread.wake()
        try await turns.reach(2)
        thread.end()
    }

    @Test func aTurnComesWhenTheLastOneWantedIt() async throws {
        let (thread, turns) = (WorkThread("test-turns"), Turns())
        thread.start {
            turns.add()
            return .after(.milliseconds(1))
        }
        try await turns.reach(20)
        thread.end()
    }
}

@Suite struct AppendFileTests {
    @Test func whatWasAppendedStaysAndFurtherBytesFollow() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/file"
        try AppendFile(path).append([1, 2])
        let file = try AppendFile(path)
        #expect(file.sizeBytes == 2)
        try file.append([3])
        #expect(file.sizeBytes == 3)
        #expect(try Files.read(path) == [1, 2, 3])
    }

    @Test func ofWhatADiskHasNoRoomForNothingStays() throws {
        let folder = try TemporaryFolder()
        let (disk, detaches) = (folder.path + "/disk", Int32(2))
        try Files.createFolder(disk)
        guard mount("tmpfs", disk, "tmpfs", 0, "size=16k") == 0 else {
            print("a full disk was not tested: no right to mount one (\(String(cString: strerror(errno))))")
            return
        }
        defer { umount2(disk, detaches) }
        let file = try AppendFile(disk + "/file")
        try file.append([1, 2, 3])
        let full = FileError.failed(operation: "write", path: file.path, errno: ENOSPC)
        #expect(throws: full) { try file.append(Array(repeating: 0, count: 100_000)) }
        #expect(try Files.read(file.path) == [1, 2, 3])
    }
}
