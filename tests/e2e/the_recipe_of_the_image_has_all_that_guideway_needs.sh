# The recipe of the image builds for other machines than this, even in a repository that was built
# before; and what it installs finds every library, and the drivers that it may be told to take, in the
# packages that the recipe names.
. "$(dirname "$0")/lib.sh"

recipe=$(sed -e ':more; /\\$/ { N; s/\\\n//; b more }' "$repository/config/kubernetes/Containerfile")
drivers=(bus_pci bus_vdev mempool_ring net_af_packet net_af_xdp net_memif net_tap net_virtio)

# behind WORDS: what the recipe has behind them, up to the next command.
behind()
{
	grep -oP "$1 \K[^&]*" <<<"$recipe"
}

# The packages that some others bring with them, themselves included.
with_what_they_need()
{
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
		--no-replaces --no-enhances "$@" | sed -n 's/^\([a-z0-9][^: ]*\).*/\1/p' | sort -u
}

# What every Debian has.
essential()
{
	dpkg-query -W -f '${Package} ${Essential}\n' | awk '$2 == "yes" { print $1 }'
}

# Folders of the one tree may be links into the other.
package_of()
{
	local file

	file=$(realpath "$1")
	dpkg -S "$file" 2>/dev/null || dpkg -S "${file#/usr}"
}

libraries()
{
	find "$lab_folder/image" -type f -perm /111 -exec ldd {} + | grep -o '/[^ ]*\.so[^ ]*' | sort -u
	for driver in "${drivers[@]}"; do
		ls /usr/lib/*/dpdk/pmds-*/"librte_$driver.so"
	done
}

setup=$(behind 'meson setup')
setup=${setup/\/build/$lab_folder/build}
setup=${setup/\/guideway/$repository}
(cd "$repository" && meson setup $setup) >"$lab_folder/setup.log"
options=$(meson introspect --buildoptions "$lab_folder/build")
[ "$(json '[o["value"] for o in d if o["name"] in ("prefix", "march")]' <<<"$options")" = "['/usr', 'x86-64-v2']" ]

DESTDIR=$lab_folder/image meson install -C "$build" --no-rebuild --quiet
there=$(with_what_they_need $(essential) $(behind 'install -y --no-install-recommends'))
libraries >"$lab_folder/libraries"
[ "$(wc -l <"$lab_folder/libraries")" -gt 20 ]
while read -r library; do
	package=$(package_of "$library" | cut -d : -f 1)
	grep -x "$package" <<<"$there" >/dev/null ||
		fail "$library is in the package $package, which the recipe does not bring"
done <"$lab_folder/libraries"
