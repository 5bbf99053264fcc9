package catalog

import (
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/oci-catalog/caib/pkg/internal/inspect"
)

// WarningKind says what a Warning is about.
type WarningKind string

const (
	WarnLog    WarningKind = "log"    // the registry shows less of the catalog, or other things, than it should, or dated ahead of the clock
	WarnPolicy WarningKind = "policy" // what the policy does not verify, and does not refuse
	WarnImage  WarningKind = "image"  // what an image does not say, or says otherwise
	WarnStore  WarningKind = "store"  // a snapshot, or a file of the cache or the state, could not be written
	// WarnMoved is for a note: an image has another digest than what another
	// entry was published with from the same reference. That is in order.
	WarnMoved WarningKind = "moved"
	WarnEntry WarningKind = "entry" // what an entry said before and says no longer, and a version that is lower than before
)

// Warning is what was noticed beside a right answer. As text, and in JSON, it is
// the message of Err.
type Warning struct {
	Kind WarningKind
	Name string // of the entry; "" where it is about the whole catalog
	Err  error  // a *LostError for an entry whose latest revision vanished; otherwise mostly text
}

// MarshalText returns the message.
func (w Warning) MarshalText() ([]byte, error) { return []byte(w.Err.Error()), nil }

// UnmarshalText takes a message, of which nothing else is known.
func (w *Warning) UnmarshalText(text []byte) error {
	*w = Warning{Err: errors.New(string(text))}
	return nil
}

// maxWarned bounds the warnings that are known to have been told.
const maxWarned = 4096

// warner tells each thing once. It is safe for concurrent use.
type warner struct {
	tell func(Warning)
	told *lru.Cache[string, struct{}]
}

func newWarner(tell func(Warning)) *warner {
	told, _ := lru.New[string, struct{}](maxWarned) // never fails: the size is positive
	return &warner{tell, told}
}

func (w *warner) warn(kind WarningKind, name string, err error) {
	if told, _ := w.told.ContainsOrAdd(err.Error(), struct{}{}); !told && w.tell != nil {
		w.tell(Warning{kind, name, err})
	}
}

// warn passes on what was noticed.
func (c *Catalog) warn(kind WarningKind, name string, err error) { c.warnings.warn(kind, name, err) }

// warnOf passes on what a read of the log noticed.
func (c *Catalog) warnOf(noticed []error) {
	for _, err := range noticed {
		c.warn(WarnLog, "", err)
	}
}

// warn notes what went less than well without making the publication less valid.
func (p *publication) warn(kind WarningKind, format string, args ...any) {
	p.result.Warnings = append(p.result.Warnings, Warning{kind, p.name, fmt.Errorf(format, args...)})
}

// warnOfImage notes what could not be found out about an image.
func (p *publication) warnOfImage(image *inspect.Image) {
	for _, text := range image.Warnings {
		p.warn(WarnImage, "%s", text)
	}
}
