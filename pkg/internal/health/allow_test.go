package health_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oci-catalog/caib/pkg/entry"
	"github.com/oci-catalog/caib/pkg/internal/gate"
	"github.com/oci-catalog/caib/pkg/internal/health"
	"github.com/oci-catalog/caib/pkg/registry"
)

// What a registry answered is in no status, and none that others recorded is
// taken over with it; it is told to whoever asks for it.
func TestStatusesTellNoAnswers(t *testing.T) {
	const answer = "GET 10.0.0.7:8500/v2/: 503: vault is sealed"
	for _, kind := range []error{entry.ErrNotFound, entry.ErrUnauthorized, entry.ErrInvalid, entry.ErrUnreachable, entry.ErrTimeout,
		&registry.Error{Cause: registry.CauseThrottled, Err: entry.ErrUnreachable}} {
		synctest.Test(t, func(t *testing.T) {
			item := image(1, "registry.example.com")
			var mu sync.Mutex
			var told []string
			news := 0
			l := newLab(t, health.Options{Failed: func(_ health.Key, err error, isNew bool) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, err.Error())
				if isNew {
					news++
				}
			}}, item)
			l.answers(fmt.Errorf("%w: %s", kind, answer))
			l.during(6 * time.Hour)
			s := l.status(t, item)
			if s.Reason == "" || s.Message == "" || s.Message != health.Message(s.Phase, s.Reason) || strings.Contains(s.Message, "10.0.0.7") {
				t.Errorf("%v: status %+v, want a reason and the sentence for it", kind, s)
			}
			recorded := s
			recorded.Message, recorded.Failures = answer, s.Failures+1
			if got := health.Initial(&item, &recorded); got.Failures != recorded.Failures || got.Message != s.Message {
				t.Errorf("%v: taken over as %+v, want message %q", kind, got, s.Message)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(told) < 5 || !strings.Contains(told[0], answer) || news < 1 || news > 2 {
				t.Errorf("%v: told %d times (%d of them as news), first %q, want each failure told, and a new phase as news", kind, len(told), news, told)
			}
		})
	}
}

// What may not be opened is not probed: nothing counts for the entry or its
// registry, whoever notices it.
func TestNotAllowedIsNotProbed(t *testing.T) {
	refusal := fmt.Errorf("%w: no", gate.ErrNotAllowed)
	for who, c := range map[string]struct {
		options health.Options
		answer  error
	}{
		"the monitor": {health.Options{Allow: func(*entry.Item) error { return refusal }}, entry.ErrNotFound},
		"the probe":   {health.Options{}, refusal},
	} {
		synctest.Test(t, func(t *testing.T) {
			items := images(10, "registry.example.com")
			c.options.Probed = func(host, reason string, _ time.Duration) {
				t.Errorf("%s: a probe of %s is counted: %s", who, host, reason)
			}
			c.options.Failed = func(key health.Key, err error, _ bool) {
				t.Errorf("%s: a failure of %s is told: %v", who, key.Name, err)
			}
			l := newLab(t, c.options, items...)
			l.answers(c.answer)
			before := l.status(t, items[0])
			if probes := l.during(3 * time.Hour); who == "the monitor" && len(probes) > 0 {
				t.Errorf("%s: %d probes, want none", who, len(probes))
			}
			if l.ProbeNow(t.Context(), health.KeyOf(&items[0])) {
				t.Errorf("%s: it is said to be probed", who)
			}
			if after := l.status(t, items[0]); after != before {
				t.Errorf("%s: status %+v, want %+v as before", who, after, before)
			}
			if state, made := l.Breakers()["registry.example.com"]; made && state != "closed" {
				t.Errorf("%s: the breaker is %s, want closed", who, state)
			}
		})
	}
}
