import Foundation

/// The Python of the tests, with the packages of the Makefile.
enum TestPython {
    static let path = ProcessInfo.processInfo.environment["TEST_PYTHON"] ?? "python3"
}
