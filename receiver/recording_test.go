package receiver

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestARecordingCanBeEndedBeforeItHasBegun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	loading, loaded, abandoned := make(chan struct{}), make(chan error), make(chan struct{})
	result := make(chan error)
	go func() {
		result <- begin(ctx, func() error {
			close(loading)
			return <-loaded
		}, func() { close(abandoned) })
	}()
	<-loading
	cancel()
	require.ErrorIs(t, <-result, ErrNotBegun)
	loaded <- nil
	<-abandoned
}

func TestABeginningThatFailsIsNotAbandoned(t *testing.T) {
	failed := errors.New("failed")
	assert.ErrorIs(t, begin(t.Context(), func() error { return failed }, func() { t.Error("there is nothing to release") }), failed)
	assert.NoError(t, begin(t.Context(), func() error { return nil }, func() { t.Error("it goes on") }))
}
