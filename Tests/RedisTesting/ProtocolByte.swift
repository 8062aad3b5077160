import TestTools

extension Seeded {
    /// A byte that a parser of RESP may stumble over, or any.
    package mutating func protocolByte() -> UInt8 {
        let telling = Array("*$+-:_%~>,#=!(|?\r\n\"'\\ 0123456789".utf8)
        return Bool.random(using: &self)
            ? telling.randomElement(using: &self) ?? 0 : UInt8.random(in: 0...255, using: &self)
    }
}
