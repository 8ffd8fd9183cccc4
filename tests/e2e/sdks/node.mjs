/**
 * Send one call of each kind with an SDK for Node: `node node.mjs segment|rudderstack KEY HOST VISITOR`. It ends with 0
 * once everything is sent.
 */

import RudderAnalytics from "@rudderstack/rudder-sdk-node";
import { Analytics } from "@segment/analytics-node";

const [sdk, key, host, anonymousId] = process.argv.slice(2);
const userId = `u-${sdk}`; // somebody else for each: one person would keep what both sent
const failures = [];

const CLIENTS = {
  segment: () => {
    const client = new Analytics({ writeKey: key, host, maxRetries: 0 });
    client.on("error", (error) => failures.push(error));
    return [client, () => client.closeAndFlush({ timeout: 5000 })];
  },
  rudderstack: () => {
    const Client = RudderAnalytics.default ?? RudderAnalytics;
    const client = new Client(key, { dataPlaneUrl: host, gzip: true, logLevel: "none", errorHandler: (error) => failures.push(error) });
    return [client, () => client.flush()];
  },
};

const [client, flush] = CLIENTS[sdk]();
client.identify({ anonymousId, userId, traits: { kids: 2 } });
client.track({ anonymousId, event: "Order Completed", properties: { revenue: 12.5 } });
client.page({ anonymousId, category: "docs", name: "Start", properties: { path: "/start" } });
client.screen({ anonymousId, name: "Home", properties: {} });
client.group({ anonymousId, userId, groupId: "acme", traits: { size: 5 } });
client.alias({ anonymousId, userId, previousId: anonymousId });
await flush();
for (const failure of failures) console.error(failure);
process.exit(failures.length ? 1 : 0);
