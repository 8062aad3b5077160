#!/usr/bin/env bash
# Builds outrigger_VERSION_amd64.deb in .build from the release binary. The same sources and toolchain give the same bytes.
#
# Man page, configuration file and completion are printed by the program; the libraries it depends on are found by
# dpkg-shlibdeps in the binary.
set -euo pipefail
cd "$(dirname "$0")/../.."
umask 022
binary=.build/release/outrigger
version=$("$binary" version | cut -d' ' -f2)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
root=$tree/root
files=Sources/Packaging

install -D -m 755 "$binary" "$root/usr/bin/outrigger"
strip --strip-all "$root/usr/bin/outrigger"
"$binary" --help-yaml | install -D -m 644 /dev/stdin "$root/etc/outrigger/outrigger.yml"
install -D -m 644 $files/debian/default "$root/etc/default/outrigger"
install -D -m 644 $files/systemd/outrigger.service "$root/lib/systemd/system/outrigger.service"
install -D -m 644 $files/systemd/outrigger.socket "$root/lib/systemd/system/outrigger.socket"
# An instance is the same unit with its own file, variables and state.
sed -e '/^Description=/s/Outrigger/Outrigger for %i/' -e 's#/etc/default/outrigger#&-%i#' \
    -e 's#/etc/outrigger/outrigger\.yml#/etc/outrigger/%i.yml#' -e 's#^StateDirectory=outrigger#&/%i#' \
    -e 's#%S/outrigger#&/%i#' $files/systemd/outrigger.service >"$tree/instance"
install -D -m 644 "$tree/instance" "$root/lib/systemd/system/outrigger@.service"
install -D -m 644 $files/systemd/outrigger.sysusers "$root/usr/lib/sysusers.d/outrigger.conf"
"$binary" --help-man | gzip -9n | install -D -m 644 /dev/stdin "$root/usr/share/man/man1/outrigger.1.gz"
"$binary" --help-completion | install -D -m 644 /dev/stdin "$root/usr/share/bash-completion/completions/outrigger"
for folder in alerts dashboards; do
    for file in "$folder"/*.yml "$folder"/*.json; do
        [ -f "$file" ] && install -D -m 644 "$file" "$root/usr/share/outrigger/$file"
    done
done
printf 'scrape_configs:\n  - job_name: outrigger\n    static_configs: [{targets: ["127.0.0.1:9847"]}]\n' |
    install -D -m 644 /dev/stdin "$root/usr/share/outrigger/outrigger-server.yml"
install -D -m 644 $files/debian/copyright "$root/usr/share/doc/outrigger/copyright"
printf 'outrigger (%s) unstable; urgency=medium\n\n  * See the history of the sources.\n\n -- Outrigger maintainers <outrigger@localhost>  %s\n' \
    "$version" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n |
    install -D -m 644 /dev/stdin "$root/usr/share/doc/outrigger/changelog.gz"

mkdir -p "$tree/debian" "$root/DEBIAN"
printf 'Source: outrigger\n\nPackage: outrigger\nArchitecture: amd64\n' >"$tree/debian/control"
depends=$(cd "$tree" && dpkg-shlibdeps -O root/usr/bin/outrigger 2>/dev/null | sed 's/^shlibs:Depends=//')
size=$(du -k -s --apparent-size "$root" | cut -f1)
sed -e "s|@VERSION@|$version|" -e "s|@SIZE@|$size|" -e "s|@DEPENDS@|$depends, adduser|" \
    $files/debian/control.in >"$root/DEBIAN/control"
printf '%s\n' /etc/default/outrigger /etc/outrigger/outrigger.yml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 755 $files/debian/$script "$root/DEBIAN/$script"; done
(cd "$root" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
chmod 644 "$root"/DEBIAN/{control,conffiles,md5sums}
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" ".build/outrigger_${version}_amd64.deb"
