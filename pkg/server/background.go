package server

import (
	"context"
	"sync"
)

// background runs what outlives the request that asked for it. It is safe for
// concurrent use.
type background struct {
	tasks chan func(context.Context)
	begun chan struct{} // closed once run is called
	ended chan struct{} // closed when no task is taken any more
}

func newBackground() *background {
	return &background{make(chan func(context.Context)), make(chan struct{}), make(chan struct{})}
}

// run runs the tasks that it is given until ctx ends, and returns when the last
// one has. It is called once.
func (b *background) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	defer close(b.ended)
	close(b.begun)
	for {
		select {
		case task := <-b.tasks:
			running.Go(func() { task(ctx) })
		case <-ctx.Done():
			return
		}
	}
}

// do has a task run. It reports false where nothing runs: not yet, or not any
// more.
func (b *background) do(task func(context.Context)) bool {
	select {
	case <-b.begun:
	default:
		return false
	}
	select {
	case b.tasks <- task:
		return true
	case <-b.ended:
		return false
	}
}
