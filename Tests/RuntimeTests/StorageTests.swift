import Foundation
import Synchronization
import TestTools
import Testing

@testable import Runtime

/// A disk whose syncs fail when a test says so.
private final class Disk: Sendable {
    let isBroken = Atomic<Bool>(false)
    let syncs = Atomic<Int>(0)

    func sync(_ file: Int32) -> Int32 {
        syncs.add(1, ordering: .relaxed)
        guard !isBroken.load(ordering: .relaxed) else {
            errno = EIO
            return -1
        }
        return 0
    }
}

@Suite struct FailedSyncTests {
    @Test func aFileWhoseSyncFailedTakesNoMore() throws {
        let folder = try TemporaryFolder()
        let disk = Disk()
        let file = try AppendFile(folder.path + "/file", sync: disk.sync)
        try file.append([1, 2])
        disk.isBroken.store(true, ordering: .relaxed)
        #expect(throws: FileError.failed(operation: "sync", path: file.path, errno: EIO)) { try file.append([3]) }
        disk.isBroken.store(false, ordering: .relaxed)
        #expect(throws: FileError.doubtful(path: file.path)) { try file.append([4]) }
        #expect(try Files.read(file.path) == [1, 2] && file.sizeBytes == 2)
    }

    @Test func aJournalForgetsWhatWasNotSyncedAndGoesOnInAnotherFile() throws {
        let folder = try TemporaryFolder()
        let disk = Disk()
        let path = folder.path + "/journal"
        let (journal, _) = try Journal.open(path, sync: disk.sync)
        try journal.append([[1]])
        let size = journal.sizeBytes
        disk.isBroken.store(true, ordering: .relaxed)
        #expect(throws: FileError.self) { try journal.append([[2]]) }
        #expect(journal.sizeBytes == size)
        #expect(try Journal.open(path).records == [[1]])
        disk.isBroken.store(false, ordering: .relaxed)
        let former = try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int
        try journal.append([[3]])
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? Int != former)
        #expect(try Journal.open(path).records == [[1], [3]])
    }

    @Test func aRecordThatIsTooLongIsRefusedAndChangesNothing() throws {
        let folder = try TemporaryFolder()
        let (journal, _) = try Journal.open(folder.path + "/journal")
        #expect(throws: FileError.self) { try journal.append([[UInt8](repeating: 0, count: Journal.recordLimit + 1)]) }
        try journal.append([[1]])
        #expect(try Journal.open(folder.path + "/journal").records == [[1]])
    }
}

@Suite struct StateFolderTests {
    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test func whatIsCreatedIsForItsUserAlone() async throws {
        let outer = try TemporaryFolder()
        let folder = try StateFolder(outer.path + "/state")
        try await folder.write([1], to: "alerts")
        _ = try await folder.append([[1]], to: "log")
        #expect(try mode(folder.path) == 0o700)
        for name in ["alerts", "log", "lock"] { #expect(try mode(folder.path + "/" + name) == 0o600, "\(name)") }
    }

    @Test(arguments: [0o777, 0o775, 0o702]) func aFolderThatOthersMayChangeIsRefused(_ mode: Int) throws {
        let outer = try TemporaryFolder()
        let path = outer.path + "/state"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        let error = #expect(throws: FileError.self) { _ = try StateFolder(path) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("others may write"))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        _ = try StateFolder(path)
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give a folder away"))
    func aFolderOfAnotherUserAndALinkAreRefused() throws {
        let outer = try TemporaryFolder()
        let path = outer.path + "/state"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: outer.path + "/link", withDestinationPath: path)
        let error = #expect(throws: FileError.self) { _ = try StateFolder(outer.path + "/link/") }
        #expect("\(error.map { "\($0)" } ?? "")".contains("symbolic link"))
        #expect(chown(path, 65534, 65534) == 0)
        #expect(throws: FileError.self) { _ = try StateFolder(path) }
    }

    @Test(arguments: ["alerts", "log", "alerts.new", "lock"]) func noLinkInTheFolderIsFollowed(_ name: String)
        async throws
    {
        let outer = try TemporaryFolder()
        let path = outer.path + "/state"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        let victim = outer.path + "/victim"
        try Files.write("precious", to: victim)
        try FileManager.default.createSymbolicLink(atPath: path + "/" + name, withDestinationPath: victim)
        let folder = try? StateFolder(path)
        #expect((folder == nil) == (name == "lock"))
        try? await folder?.write([1], to: "alerts")
        _ = try? await folder?.append([[1]], to: "log")
        #expect(try Files.readText(victim) == "precious")
    }

    @Test func whoHoldsTheFolderIsNamed() throws {
        let outer = try TemporaryFolder()
        let first = try StateFolder(outer.path)
        let error = #expect(throws: FileError.self) { _ = try StateFolder(outer.path) }
        #expect("\(error.map { "\($0)" } ?? "")".contains("process \(getpid()) uses it"))
        withExtendedLifetime(first) {}
    }
}
