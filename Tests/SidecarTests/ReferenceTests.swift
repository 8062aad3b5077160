import Runtime
import Testing

@Suite struct ReferenceTests {
    @Test func theReadmePrintsTheSettingsThatTheProgramDeclares() async throws {
        let printed = try await RunningOutrigger.run(["--help-markdown"])
        #expect(printed.status == 0)
        #expect(try Files.readText("Sources/Sidecar/README.md").hasSuffix(printed.output))
    }
}
