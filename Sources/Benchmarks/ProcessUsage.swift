import Glibc
import Runtime

/// What a process and its children have used, read from /proc.
enum ProcessUsage {
    /// CPU time in nanoseconds that a process, its threads and its present and former children have run.
    static func cpuNanoseconds(_ pid: pid_t) -> Int {
        family(of: pid).reduce(0) { $0 + ownNanoseconds($1) }
    }

    /// Resident memory in bytes of one process.
    static func residentBytes(_ pid: pid_t) -> Int {
        let status = (try? Files.readText("/proc/\(pid)/status")) ?? ""
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }) else { return 0 }
        return (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }

    /// `schedstat` counts nanoseconds, where `stat` counts hundredths of a second.
    private static func ownNanoseconds(_ pid: pid_t) -> Int {
        let tasks = (try? Files.list("/proc/\(pid)/task")) ?? []
        return tasks.reduce(0) { sum, task in
            let text = (try? Files.readText("/proc/\(pid)/task/\(task)/schedstat")) ?? ""
            return sum + (text.split(separator: " ").first.flatMap { Int($0) } ?? 0)
        }
    }

    private static func family(of pid: pid_t) -> [pid_t] {
        let children = ((try? Files.list("/proc/\(pid)/task")) ?? []).flatMap { task in
            ((try? Files.readText("/proc/\(pid)/task/\(task)/children")) ?? "").split(separator: " ").compactMap {
                pid_t($0)
            }
        }
        return [pid] + children.flatMap(family)
    }
}
