import Network
import Runtime
import Testing

@Suite struct StreamPeerTests {
    private func peer(_ host: String) -> StreamPeer { .internet(host: host, port: 7, isLoopback: false) }

    @Test(arguments: [
        ("10.0.0.1", "10.0.0.1", "10.0.0.1:7"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002", "[2001:db8:1:2:3:4:5:6]:7"),
        ("2001:db8:1:2::9", "20010db800010002", "[2001:db8:1:2::9]:7"), ("::1", "0000000000000000", "[::1]:7"),
    ])
    func addressesOfOneMachineCountAsOne(_ host: String, _ network: String, _ description: String) {
        #expect(peer(host).network == network && "\(peer(host))" == description)
    }

    @Test func aSocketFileIsLocalAndAServerIsNot() {
        #expect(StreamPeer.unix(path: "").isLocal && !StreamPeer.server("redis:6379").isLocal)
    }

    @Test func aNameThatBeginsWithDigitsIsNotLoopback() {
        #expect(ListenAddress(host: "127.0.0.1", port: 1).isLoopback)
        #expect(ListenAddress(host: "127.1", port: 1).isLoopback)
        #expect(!ListenAddress(host: "127.evil.example", port: 1).isLoopback)
        #expect(!ListenAddress(host: "", port: 1).isLoopback && !ListenAddress(host: "0.0.0.0", port: 1).isLoopback)
    }

    @Test func digestsAreThoseOfTheStandard() {
        #expect(
            SHA256(of: Array("abc".utf8)).hexadecimal
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            SHA256(of: []).hexadecimal == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(SHA256(hexadecimal: String(repeating: "0g", count: 32)) == nil)
    }
}
