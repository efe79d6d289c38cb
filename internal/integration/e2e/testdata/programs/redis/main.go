// Command redis sends commands over a pool of connections, in pipelines and transactions, and waits for messages and for elements.
//
//	redis 127.0.0.1:6379 password
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "redis:", err)
		os.Exit(1)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := redis.NewClient(&redis.Options{
		Addr: os.Args[1], Password: os.Args[2], PoolSize: 10, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	var all sync.WaitGroup
	for n := range 10 {
		all.Go(func() {
			for i := range 100 {
				key := fmt.Sprint("go:", n, ":", i)
				check(client.Set(ctx, key, i, time.Minute).Err())
				check(client.Get(ctx, key).Err())
			}
			pipe := client.Pipeline()
			for range 100 {
				pipe.Incr(ctx, fmt.Sprint("count:", n))
			}
			_, err := pipe.Exec(ctx)
			check(err)
			transaction := client.TxPipeline()
			transaction.HSet(ctx, fmt.Sprint("hash:", n), "field", "value")
			transaction.HGetAll(ctx, fmt.Sprint("hash:", n))
			_, err = transaction.Exec(ctx)
			check(err)
		})
	}
	all.Wait()

	subscription := client.Subscribe(ctx, "channel")
	_, err := subscription.Receive(ctx)
	check(err)
	check(client.Publish(ctx, "channel", "message").Err())
	_, err = subscription.ReceiveMessage(ctx)
	check(err)
	check(subscription.Close())

	all.Go(func() { check(client.BLPop(ctx, time.Minute, "list").Err()) })
	check(client.RPush(ctx, "list", "element").Err())
	all.Wait()
	check(client.Close())
}
