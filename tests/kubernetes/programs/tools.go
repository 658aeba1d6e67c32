//go:build tools

// Package programs names what is built besides the programs in the folders here, so that go.mod
// holds its versions: agnhost, which is what pods run, and for "scripts/test upstream" Kubernetes'
// own end-to-end tests.
package programs

import (
	_ "github.com/onsi/ginkgo/v2/ginkgo"
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/images/agnhost"
)
