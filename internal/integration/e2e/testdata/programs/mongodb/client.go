package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

func ask(address, password string, secure bool) {
	if secure {
		_, err := bufio.NewReader(os.Stdin).ReadString('\n')
		check(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for _, compressor := range []string{"", "snappy", "zlib", "zstd"} {
		o := options.Client().ApplyURI("mongodb://" + address).SetMaxPoolSize(5).
			SetAuth(options.Credential{AuthMechanism: "PLAIN", AuthSource: "$external", Username: "shop", Password: password})
		if compressor != "" {
			o.SetCompressors([]string{compressor})
		}
		if secure {
			o.SetTLSConfig(&tls.Config{InsecureSkipVerify: true})
		}
		client, err := mongo.Connect(o)
		check(err)
		use(ctx, client, password)
		check(client.Disconnect(ctx))
	}
}

func use(ctx context.Context, client *mongo.Client, secret string) {
	shop := client.Database("shop")
	orders := shop.Collection("orders")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 10 {
				round(ctx, orders, i, secret)
			}
		})
	}
	all.Wait()
	_, err := shop.Collection("taken").InsertOne(ctx, bson.D{{Key: "text", Value: secret}})
	if !mongo.IsDuplicateKeyError(err) {
		check(fmt.Errorf("no duplicate: %w", err))
	}
	var failed mongo.CommandError
	for _, err := range []error{shop.RunCommand(ctx, bson.D{{Key: "frobnicate", Value: secret}}).Err(), shop.Collection("broken").FindOne(ctx, bson.D{}).Err()} {
		if !errors.As(err, &failed) {
			check(fmt.Errorf("no error: %w", err))
		}
	}
	documents := make([]any, 500)
	for i := range documents {
		documents[i] = bson.D{{Key: "text", Value: strings.Repeat(secret, 10)}}
	}
	_, err = orders.InsertMany(ctx, documents)
	check(err)
	found, err := shop.Collection("large").Find(ctx, bson.D{{Key: "text", Value: secret}})
	check(err)
	var rows []bson.D
	check(found.All(ctx, &rows))
	if len(rows) != 10 {
		check(fmt.Errorf("%d rows", len(rows)))
	}
	unheard := shop.Collection("unheard", options.Collection().SetWriteConcern(writeconcern.Unacknowledged()))
	for range 5 {
		_, err := unheard.InsertOne(ctx, bson.D{{Key: "text", Value: secret}})
		check(err)
	}
	check(client.UseSession(ctx, func(ctx context.Context) error {
		session := mongo.SessionFromContext(ctx)
		_, err := session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
			return orders.InsertOne(ctx, bson.D{{Key: "text", Value: secret}})
		})
		return err
	}))
}

func round(ctx context.Context, orders *mongo.Collection, i int, secret string) {
	filter := bson.D{{Key: "text", Value: secret}, {Key: "n", Value: bson.D{{Key: "$in", Value: bson.A{i, 2, 3}}}}}
	_, err := orders.InsertMany(ctx, []any{bson.D{{Key: "text", Value: secret}}, bson.D{{Key: "text", Value: secret}}})
	check(err)
	check(orders.FindOne(ctx, filter).Err())
	_, err = orders.UpdateMany(ctx, filter, bson.D{{Key: "$set", Value: bson.D{{Key: "text", Value: secret}}}})
	check(err)
	check(orders.FindOneAndUpdate(ctx, filter, bson.D{{Key: "$set", Value: bson.D{{Key: "text", Value: secret}}}}).Err())
	check(orders.Distinct(ctx, "text", filter).Err())
	cursor, err := orders.Aggregate(ctx, mongo.Pipeline{{{Key: "$match", Value: filter}}})
	check(err)
	check(cursor.Close(ctx))
	_, err = orders.DeleteOne(ctx, filter)
	check(err)
}
