package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// connections are used at once, each by a client of its own.
const connections = 50

// older sends commands on connections from before somebody looked.
func older(address, secret string) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var clients [connections]*mongo.Client
	for i := range clients {
		client, err := mongo.Connect(options.Client().ApplyURI("mongodb://" + address).SetMaxPoolSize(1))
		check(err)
		check(client.Database("shop").RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err())
		clients[i] = client
	}
	fmt.Println("ready")
	_, err := bufio.NewReader(os.Stdin).ReadString('\n')
	check(err)
	var workers sync.WaitGroup
	for _, client := range clients {
		workers.Go(func() {
			shop := client.Database("shop")
			for i := range 5 {
				round(ctx, shop.Collection("orders"), i, secret)
			}
			_, err := shop.Collection("taken").InsertOne(ctx, bson.D{{Key: "text", Value: secret}})
			if !mongo.IsDuplicateKeyError(err) {
				check(fmt.Errorf("no duplicate: %w", err))
			}
			check(client.Disconnect(ctx))
		})
	}
	workers.Wait()
}
