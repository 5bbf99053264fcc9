package entry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/oci-catalog/caib/pkg/entry"
)

func TestCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("other"), ""},
		{entry.ErrNotFound, "not_found"},
		{entry.ErrMalformed, "malformed"},
		{fmt.Errorf("entry: %w", entry.ErrLaterFormat), "malformed"},
		{entry.CheckName("?"), "invalid"},
		{&entry.ValidationError{}, "invalid"},
		{context.DeadlineExceeded, "timeout"},
		{fmt.Errorf("read: %w", entry.ErrTimeout), "timeout"},
		{errors.Join(entry.ErrNotFound, entry.ErrUnreachable), "unreachable"},
		{errors.Join(entry.ErrTimeout, entry.ErrUnreachable), "unreachable"},
		{errors.Join(entry.ErrUntrusted, entry.ErrConflict), "untrusted"},
	} {
		if got := entry.Code(tt.err); got != tt.want {
			t.Errorf("the code of %v is %q, want %q", tt.err, got, tt.want)
		}
	}
}

func TestKindsAndCodes(t *testing.T) {
	for _, kind := range []error{entry.ErrNotFound, entry.ErrConflict, entry.ErrInvalid, entry.ErrMalformed, entry.ErrUnauthorized, entry.ErrTimeout, entry.ErrUntrusted, entry.ErrUnreachable} {
		if got := entry.Kind(entry.Code(kind)); got != kind {
			t.Errorf("the kind with the code of %q is %v", kind, got)
		}
	}
	if got := entry.Kind("failure"); got != nil {
		t.Errorf("no kind has the code failure, got %v", got)
	}
}

func TestTimeoutIsDeadlineExceeded(t *testing.T) {
	if err := fmt.Errorf("read: %w", entry.ErrTimeout); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is no context.DeadlineExceeded", err)
	}
}
