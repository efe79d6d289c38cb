package mongodb

import "strings"

// command is one of the server's.
type command struct {
	name string
	text []byte
	// collection: the value of the first element is the name of a collection.
	collection bool
	// secret: nothing of it but its name and those of its elements is emitted, at any setting.
	secret bool
	batch  string // the element with the operations, or documents, of which there may be many
	// inserts: what is in batch are documents that are stored.
	inserts bool
	bulk    bool // its operations are about the collections that it lists
}

// The commands of MongoDB (https://www.mongodb.com/docs/manual/reference/command/), and those of earlier servers and of a cluster's members.
const (
	onCollections = `aggregate analyze analyzeShardKey autoSplitVector balancerCollectionStatus captrunc checkShardingIndex cleanupOrphaned
		cleanupStructuredEncryptionData clearJumboFlag cloneCollectionAsCapped collMod collStats compact compactStructuredEncryptionData
		configureCollectionBalancing configureQueryAnalyzer convertToCapped count create createIndexes createSearchIndexes dataSize delete
		deleteIndexes distinct drop dropIndexes dropSearchIndex emptycapped find findAndModify findandmodify geoNear geoSearch getShardVersion
		godinsert group insert killCursors listIndexes listSearchIndexes mapReduce mapreduce planCacheClear planCacheClearFilters
		planCacheListFilters planCacheListPlans planCacheSetFilter reIndex removeQuerySettings update updateSearchIndex validate`
	onOthers = `abortMoveCollection abortReshardCollection abortTransaction abortUnshardCollection addShard addShardToZone appendOplogNote applyOps
		availableQueryOptions balancerStart balancerStatus balancerStop buildInfo buildinfo bulkWrite checkMetadataConsistency clone
		commitReshardCollection commitTransaction configureFailPoint connPoolStats connPoolSync connectionStatus convertShardKeyToHashed
		coordinateCommitTransaction createRole currentOp cursorInfo dbHash dbStats dbstats driverOIDTest dropAllRolesFromDatabase
		dropAllUsersFromDatabase dropConnections dropDatabase dropRole dropUser enableSharding endSessions eval explain features filemd5
		flushRouterConfig forceerror fsync fsyncUnlock getAuditConfig getChangeStreamState getClusterParameter getCmdLineOpts
		getDatabaseVersion getDefaultRWConcern getDiagnosticData getFreeMonitoringStatus getLastError getLog getMore getParameter getPrevError
		getQueryableEncryptionCountInfo getShardMap getlasterror grantPrivilegesToRole grantRolesToRole grantRolesToUser hello hostInfo
		invalidateUserCache isMaster isdbgrid ismaster killAllSessions killAllSessionsByPattern killOp killSessions
		listCollections listCommands listDatabases listShards lockInfo logApplicationMessage logRotate logout mergeChunks moveChunk
		moveCollection movePrimary moveRange netstat nop ping prepareTransaction profile reapLogicalSessionCacheNow
		refineCollectionShardKey refreshLogicalSessionCacheNow refreshSessions removeShard removeShardFromZone renameCollection repairDatabase
		replSetAbortPrimaryCatchUp replSetFreeze replSetGetConfig replSetGetRBID replSetGetStatus replSetHeartbeat replSetInitiate
		replSetMaintenance replSetReconfig replSetRequestVotes replSetResizeOplog replSetStepDown replSetStepUp replSetSyncFrom
		replSetUpdatePosition reshardCollection resetError revokePrivilegesFromRole revokeRolesFromRole revokeRolesFromUser rolesInfo
		rotateCertificates serverStatus setAllowMigrations setAuditConfig setClusterParameter setDefaultRWConcern
		setFeatureCompatibilityVersion setFreeMonitoring setIndexCommitQuorum setParameter setProfilingFilterGlobally setQuerySettings
		setShardVersion setUserWriteBlockMode shardCollection shardConnPoolStats shardingState shutdown sleep split splitChunk splitVector
		startRecordingTraffic startSession startTrafficRecording stopRecordingTraffic stopTrafficRecording testDeprecation top transitionFromDedicatedConfigServer
		transitionToDedicatedConfigServer unshardCollection untrackUnshardedCollection updateRole updateZoneKeyRange usersInfo
		validateDBMetadata voteCommitIndexBuild waitForFailPoint whatsmyuri whatsmysni`
	// sensitive are those that drivers leave out of what they report, too, and those with passwords or keys in other elements.
	sensitive = `_mergeAuthzCollections authSchemaUpgrade authenticate copydb copydbgetnonce copydbsaslstart createUser getnonce oidcListKeys
		oidcRefreshKeys saslContinue saslStart setKMSCredentials updateUser`
)

// batches are the elements with what a command has many of.
var batches = map[string]string{"insert": "documents", "update": "updates", "delete": "deletes", "bulkWrite": "ops"}

var commands = func() map[string]*command {
	made := make(map[string]*command)
	add := func(names string, c command) {
		for _, n := range strings.Fields(names) {
			c.name, c.text, c.batch, c.inserts, c.bulk = n, []byte(n), batches[n], n == "insert", n == "bulkWrite"
			known := c
			made[n] = &known
		}
	}
	add(onCollections, command{collection: true})
	add(onOthers, command{})
	add(sensitive, command{secret: true})
	return made
}()

// other stands for all commands that are not known. Whether they have secrets is not known either.
var other = &command{name: name, text: []byte("_OTHER"), secret: true}

// opcodes are the commands that stand for opcodes.
var opcodes = func() map[opcode]*command {
	made := make(map[opcode]*command)
	for op, l := range layouts {
		if l.text != nil {
			made[op] = &command{name: string(l.text), text: l.text}
		}
	}
	return made
}()

// secretNames are those of elements whose values are never emitted.
var secretNames = map[string]bool{
	"pwd": true, "password": true, "passwd": true, "payload": true, "speculativeAuthenticate": true, "credentials": true, "key": true, "nonce": true, "keyFile": true,
	"secret": true, "secretAccessKey": true, "sessionToken": true, "accessToken": true, "token": true, "privateKey": true, "keyMaterial": true, "masterKey": true,
}

// isCommand reports whether a name is that of a command.
func isCommand(name []byte) bool { return commands[string(name)] != nil }
