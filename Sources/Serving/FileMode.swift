import Runtime

/// Permissions of a file, in octal.
public struct FileMode: SettingValue, Comparable {
    public let bits: UInt32

    public init(_ bits: UInt32) { self.bits = bits }

    public static var kind: String { "permissions such as 0770" }

    public init?(setting text: String) {
        guard let bits = UInt32(text, radix: 8), bits <= 0o777 else { return nil }
        self.bits = bits
    }

    public var settingText: String { "0" + String(bits, radix: 8) }

    public static func < (left: FileMode, right: FileMode) -> Bool { left.bits < right.bits }
}
