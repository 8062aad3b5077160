// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// Every target: no warnings, and `any` is written where a type is erased.
let common: [SwiftSetting] = [.treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny")]

/// Targets that never touch C: the compiler refuses unsafe code there.
let safe: [SwiftSetting] = common + [.strictMemorySafety()]

/// Targets whose every nanosecond counts: exclusive access to memory is checked at run time in debug builds, with all the tests,
/// and not in the release, where it takes a tenth of the time of a cached reply.
let hot: [SwiftSetting] = [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

let package = Package(
    name: "outrigger",
    products: [
        .executable(name: "outrigger", targets: ["Sidecar"])
    ],
    targets: [
        // The arrows point only upward in this list.
        .systemLibrary(name: "CLibraries"),
        .target(name: "Runtime", dependencies: ["CLibraries"], swiftSettings: common + hot),
        .target(name: "Network", dependencies: ["CLibraries", "Runtime"], swiftSettings: common + hot),
        .target(name: "LocalServers", dependencies: ["Runtime", "Network", "CLibraries"], swiftSettings: common),
        .target(name: "Metrics", dependencies: ["Runtime"], swiftSettings: safe + hot),
        .target(name: "Databases", dependencies: ["CLibraries", "Runtime", "Network"], swiftSettings: common),
        .target(name: "Collectors", dependencies: ["Runtime", "Metrics", "Databases"], swiftSettings: safe),
        .target(name: "Operations", dependencies: ["Runtime", "Network", "Metrics"], swiftSettings: safe),
        .target(name: "PromQL", dependencies: ["Runtime", "Metrics"], swiftSettings: safe),
        .target(name: "Cache", dependencies: ["Runtime", "Metrics"], swiftSettings: safe + hot),
        .target(name: "Alerting", dependencies: ["Runtime", "Network", "Metrics", "PromQL"], swiftSettings: safe),
        .target(
            name: "Serving", dependencies: ["Runtime", "Network", "Metrics"],
            swiftSettings: safe + hot),
        .target(
            name: "RedisProxy", dependencies: ["Runtime", "Network", "Metrics", "Cache", "Operations", "Serving"],
            swiftSettings: safe + hot),
        .target(
            name: "PostgresProxy",
            dependencies: ["Runtime", "Network", "Metrics", "Operations", "Databases", "Serving"],
            swiftSettings: safe + hot),
        .target(
            name: "Gateway", dependencies: ["Runtime", "Network", "Metrics", "Cache", "Operations", "Serving"],
            swiftSettings: safe + hot),
        .executableTarget(
            name: "Sidecar",
            dependencies: [
                "Runtime", "Network", "LocalServers", "Metrics", "Databases", "Collectors", "Operations", "PromQL",
                "Alerting",
                "Cache", "Serving", "RedisProxy", "PostgresProxy", "Gateway",
            ],
            swiftSettings: common),
        .executableTarget(
            name: "Benchmarks",
            dependencies: ["CLibraries", "Runtime", "Network", "LocalServers", "Metrics", "PromQL", "Cache"],
            swiftSettings: common),

        // Seeded dice and a gate, for tests of everything.
        .target(name: "TestTools", path: "Tests/TestTools", swiftSettings: common),
        // A socket and replies, for the tests of the Redis proxy.
        .target(
            name: "RedisTesting", dependencies: ["RedisProxy", "Runtime", "Network", "TestTools"],
            path: "Tests/RedisTesting",
            swiftSettings: common),
        .testTarget(
            name: "RuntimeTests", dependencies: ["Runtime", "LocalServers", "TestTools"], swiftSettings: common),
        .testTarget(
            name: "NetworkTests", dependencies: ["Network", "Runtime", "LocalServers", "TestTools"],
            swiftSettings: common),
        .testTarget(name: "LocalServersTests", dependencies: ["LocalServers"], swiftSettings: common),
        .testTarget(name: "MetricsTests", dependencies: ["Metrics", "Runtime", "TestTools"], swiftSettings: common),
        .testTarget(
            name: "SidecarTests",
            dependencies: [
                "Sidecar", "Alerting", "LocalServers", "Network", "PromQL", "RedisTesting", "Runtime", "TestTools",
            ],
            swiftSettings: common),
        .testTarget(
            name: "DatabasesTests", dependencies: ["Databases", "LocalServers", "Runtime"], swiftSettings: common),
        .testTarget(
            name: "CollectorsTests",
            dependencies: ["Collectors", "Databases", "LocalServers", "Metrics", "Runtime", "TestTools"],
            swiftSettings: common),
        .testTarget(
            name: "AlertingTests",
            dependencies: ["Alerting", "PromQL", "LocalServers", "Runtime", "Network", "Metrics", "TestTools"],
            swiftSettings: common),
        .testTarget(
            name: "OperationsTests",
            dependencies: ["Operations", "LocalServers", "Metrics", "Network", "Runtime", "TestTools"],
            swiftSettings: common),
        .testTarget(
            name: "CacheTests", dependencies: ["Cache", "Runtime", "Metrics", "TestTools"], swiftSettings: common),
        .testTarget(name: "ServingTests", dependencies: ["Serving"], swiftSettings: common),
        .testTarget(
            name: "RedisProxyTests",
            dependencies: [
                "RedisProxy", "Cache", "LocalServers", "Metrics", "Network", "Operations", "RedisTesting", "Runtime",
                "Serving", "TestTools",
            ],
            swiftSettings: common),
        .testTarget(
            name: "PostgresProxyTests",
            dependencies: [
                "PostgresProxy", "Collectors", "Databases", "LocalServers", "Metrics", "Network", "Runtime",
                "TestTools",
            ],
            swiftSettings: common),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Gateway", "Cache", "LocalServers", "Metrics", "Network", "Operations", "Runtime", "Serving",
                "TestTools",
            ],
            swiftSettings: common),
        .testTarget(name: "PromQLTests", dependencies: ["PromQL", "Metrics", "TestTools"], swiftSettings: common),
    ]
)

// A room's manual lies in the room, and is no source.
for target in package.targets {
    let room = target.path ?? (target.isTest ? "Tests/" : "Sources/") + target.name
    if FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(room)/README.md") {
        target.exclude.append("README.md")
    }
}
