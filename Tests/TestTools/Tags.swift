import Testing

extension Tag {
    /// Keeps both cores busy for long. `make test` runs these suites last, so that they make nobody late that looks at a clock.
    @Tag package static var proof: Self
}
