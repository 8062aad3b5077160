import Serving
import Testing

@Suite struct FileModeTests {
    @Test func permissionsAreOctal() {
        #expect(FileMode(setting: "0770")?.bits == 0o770 && FileMode(setting: "700")?.bits == 0o700)
        #expect(FileMode(setting: "0888") == nil && FileMode(setting: "7777") == nil)
        #expect(FileMode(0o700).settingText == "0700")
    }
}
