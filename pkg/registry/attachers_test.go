package registry

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sync/errgroup"

	"github.com/oci-catalog/caib/internal/testrounds"
)

// Many attach to one image at once where there is no Referrers API, from near and far,
// and none of them is lost. The clock is a bubble's.
func TestAttachersBesideEachOther(t *testing.T) {
	const attachers = 24
	runs := 2
	if *full {
		runs = 20
	}
	ms := func(all ...time.Duration) []time.Duration {
		for i := range all {
			all[i] *= time.Millisecond
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		rounds []time.Duration // one each, in turn
	}{
		{"at 1 ms", ms(1)},
		{"at 20 ms", ms(20)},
		{"at 50 ms", ms(50)},
		{"at 150 ms", ms(150)},
		{"near and far", ms(1, 20, 50, 150)},
	} {
		for run := range runs {
			t.Run(fmt.Sprintf("%s, run %d", tt.name, run), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { attachBeside(t, attachers, tt.rounds) })
			})
		}
	}
}

func attachBeside(t *testing.T, attachers int, rounds []time.Duration) {
	network := testrounds.New(t, ggcr.New(ggcr.WithReferrersSupport(false), ggcr.Logger(quietLog())))
	at := func(round time.Duration) Repository {
		return open(t, "registry.test", Options{
			Transport: network.TransportAfar(testrounds.HTTP1, round), PlainHTTP: func(string) bool { return true },
		})
	}
	reader := at(0)
	subject := subjectIn(t, reader)
	network.Count(func() {
		var group errgroup.Group
		for i := range attachers {
			d, manifest := manifestOf(t, fmt.Sprint(i), &subject)
			repository := at(rounds[i%len(rounds)])
			group.Go(func() error {
				time.Sleep(rand.N(300 * time.Millisecond))
				return repository.PushReferrer(t.Context(), d, manifest, subject)
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
	list, err := reader.Referrers(t.Context(), subject)
	if err != nil || len(list) != attachers {
		t.Errorf("%d of %d are listed, %v", len(list), attachers, err)
	}
	for _, d := range list {
		if _, err := reader.Resolve(t.Context(), d.Digest.String()); err != nil {
			t.Errorf("what is listed is not there: %v", err)
		}
	}
}
