package catalog

import "github.com/oci-catalog/caib/pkg/ocilog"

type (
	// MissingError says that a registry answers without so much of what this
	// reader saw in it that nothing can be said. It is an
	// entry.ErrUnreachable.
	MissingError = ocilog.MissingError
	// ClockError says that this machine's clock is not the registry's.
	// Nothing was written.
	ClockError = ocilog.ClockError
)
