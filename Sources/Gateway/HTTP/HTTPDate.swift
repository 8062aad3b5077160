import Runtime

/// Dates as HTTP writes them (RFC 9110 §5.6.7): read in its three forms, written in the first.
enum HTTPDate {
    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// - Parameter seconds: since 1970.
    static func text(_ seconds: Int) -> [UInt8] {
        let day = Int((Double(seconds) / 86_400).rounded(.down))
        let rest = seconds - day * 86_400
        let (year, month, date) = civil(day)
        var text: [UInt8] = []
        text.reserveCapacity(29)
        text.append(contentsOf: days[((day % 7) + 7) % 7].utf8)
        text.append(contentsOf: ", ".utf8)
        text.append(twoDigits: date)
        text.append(0x20)
        text.append(contentsOf: months[month - 1].utf8)
        text.append(0x20)
        text.append(twoDigits: year / 100)
        text.append(twoDigits: year % 100)
        text.append(0x20)
        text.append(twoDigits: rest / 3600)
        text.append(0x3A)
        text.append(twoDigits: rest / 60 % 60)
        text.append(0x3A)
        text.append(twoDigits: rest % 60)
        text.append(contentsOf: " GMT".utf8)
        return text
    }

    /// - Returns: seconds since 1970; nil for what is no date.
    static func seconds(_ text: ArraySlice<UInt8>) -> Int? {
        let parts = text.split { $0 == 0x20 || $0 == 0x2C }.map { String(decoding: $0, as: UTF8.self) }
        // "Sun, 06 Nov 1994 08:49:37 GMT"
        if parts.count == 6, parts[5] == "GMT", parts[1].utf8.count == 2, parts[3].utf8.count == 4 {
            return moment(day: parts[1], month: parts[2], year: parts[3], time: parts[4])
        }
        // "Sunday, 06-Nov-94 08:49:37 GMT"
        if parts.count == 4, parts[3] == "GMT" {
            let date = parts[1].split(separator: "-").map(String.init)
            guard date.count == 3, date[2].utf8.count == 2, let short = number(date[2]) else { return nil }
            // Two digits are of the century that brings them within fifty years ahead.
            let now = civil(Int(WallClock.now) / 86_400).year
            var year = now / 100 * 100 + short
            if year > now + 50 { year -= 100 }
            return moment(day: date[0], month: date[1], year: "\(year)", time: parts[2])
        }
        // "Sun Nov  6 08:49:37 1994"
        if parts.count == 5, parts[4].utf8.count == 4 {
            return moment(day: parts[2], month: parts[1], year: parts[4], time: parts[3])
        }
        return nil
    }

    private static func moment(day: String, month: String, year: String, time: String) -> Int? {
        let clock = time.split(separator: ":", omittingEmptySubsequences: false).map { number(String($0)) }
        guard let day = number(day), let year = number(year), (1...31).contains(day), (1601...9999).contains(year),
            let month = months.firstIndex(of: month), clock.count == 3, let hour = clock[0], let minute = clock[1],
            let second = clock[2], hour < 24, minute < 60, second < 61, time.utf8.count == 8
        else { return nil }
        return daysSince1970(year, month + 1, day) * 86_400 + hour * 3600 + minute * 60 + second
    }

    private static func number(_ text: String) -> Int? {
        guard (1...4).contains(text.utf8.count), text.utf8.allSatisfy(\.isDigit) else { return nil }
        return Int(text)
    }

    /// Howard Hinnant's days_from_civil.
    private static func daysSince1970(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let ofEra = shifted - era * 400
        let ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
    }

    private static func civil(_ day: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let ofEra = shifted - era * 146_097
        let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * ofYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}

extension Array where Element == UInt8 {
    fileprivate mutating func append(twoDigits value: Int) {
        append(0x30 + UInt8(truncatingIfNeeded: value / 10 % 10))
        append(0x30 + UInt8(truncatingIfNeeded: value % 10))
    }
}
