-- The registry of the kinds of trouble and of watched work, in the order of the documentation. A kind
-- is added here first: the views, docs/operations.md and the tests follow it.
CREATE OR REPLACE VIEW billing_trouble_kinds AS
SELECT
    k.kind,
    k.list,
    k.meaning,
    k.settled_by,
    k.command
FROM (
    VALUES
    (
        'not_provisioned',
        'trouble',
        'An order was paid five minutes ago, and its services are not ready.',
        'the worker, once the cause that detail names is fixed',
        'mpanel-billing provision retry SUBSCRIPTION'
    ),
    (
        'provisioning_failed',
        'trouble',
        'A service has refused a command, or failed to carry it out five times in a row. object_id is the product type.',
        'a command that succeeds, once the cause is fixed; or leaving the service out with provision skip',
        'mpanel-billing provision retry SUBSCRIPTION'
    ),
    (
        'service_missing',
        'trouble',
        'A subscription is alive at Stripe and paid, and for 15 minutes a service that it includes is missing or suspended, without a hold, a pause, a suspension for a dispute or a usage limit, or an error.',
        'the worker, if it runs; or another run',
        'mpanel-billing provision retry SUBSCRIPTION'
    ),
    (
        'active_after_end',
        'trouble',
        'A subscription has ended at Stripe, and an account is still active 15 minutes later, or not terminated a day after its time. object_id is the product type.',
        'the worker, if it runs; or another run',
        'mpanel-billing provision retry SUBSCRIPTION'
    ),
    (
        'work_failed',
        'trouble',
        'The work on a subscription has an error of its own, or its tenant got another domain than was ordered.',
        'a run that succeeds; for a taken domain, an agreement with the buyer and provision settled',
        'mpanel-billing provision retry SUBSCRIPTION'
    ),
    (
        'domain_stuck',
        'trouble',
        'A registrar refuses what is paid for, cannot be reached, or says something that only a person understands. object_id is the domain.',
        'a run that succeeds; giving the name up; or help at the registrar, which the next inspection sees',
        'mpanel-billing domains retry NAME'
    ),
    (
        'domain_needs',
        'trouble',
        'A registrar needs an auth code, or data of the customer, before a domain that is paid for can be ordered. object_id is the domain.',
        'the auth code, or the data on the customer; the worker looks every hour',
        'mpanel-billing domains show NAME'
    ),
    (
        'domain_failed',
        'trouble',
        'A domain that was paid for could not be registered, and its price has not gone back. object_id is the domain.',
        'the refund, which the worker makes; or an agreement with the buyer and domains settled',
        'mpanel-billing domains show NAME'
    ),
    (
        'domain_not_refunded',
        'trouble',
        'The price of a domain that could not be obtained was to go back, and Stripe refuses the refund, or cannot make it five times in a row. object_id is the domain.',
        'a refund that succeeds, once the cause is fixed; or another way to give the money back and domains settled',
        'mpanel-billing domains retry NAME'
    ),
    (
        'domain_lost',
        'trouble',
        'A domain that we had registered has left its registrar, or is not in the account any more. object_id is the domain.',
        'its return; or domains moved, if its customer has taken it elsewhere',
        'mpanel-billing domains show NAME'
    ),
    (
        'domain_unproven',
        'trouble',
        'A buyer has not proven in time that the domain of their order is theirs; its tenant still has a name in our zone. object_id is the domain.',
        'the proof, which is looked for again with the command; domains accept, after another proof; or domains reject',
        'mpanel-billing domains verify NAME'
    ),
    (
        'suspended_by_service',
        'trouble',
        'The hosting service itself has suspended an account, for example because of abuse; a payment does not resume it. object_id is the product type.',
        'the service, after it is settled with the service and the buyer; the nightly reconcile or the command records it',
        'mpanel-billing provision check --fix'
    ),
    (
        'server_left',
        'trouble',
        'A server that has accounts is not in PROVISIONING_SERVICES any more: its accounts get no commands. object_id is the server.',
        'naming it there again and restarting the workers; or, once it is named, moving its accounts with provision drain',
        'mpanel-billing provision servers'
    ),
    (
        'server_failing',
        'trouble',
        'For 15 minutes a server has responded to none of its commands, three or more; new accounts are placed elsewhere. object_id is the server.',
        'a command that it carries out, once the cause is fixed; or moving its accounts with provision drain',
        'mpanel-billing provision servers'
    ),
    (
        'move_failed',
        'trouble',
        'A server has refused what a move of an account needs, or has not done it for a day. object_id is the product type.',
        'a command that succeeds, once the cause is fixed; or calling the move off with provision stay',
        'mpanel-billing provision retry SUBSCRIPTION'
    ),
    (
        'move_waits',
        'trouble',
        'An account has been made at another server, and for three days nobody has said that its data was moved. object_id is the product type.',
        'moving the data and provision moved; or calling the move off with provision stay',
        'mpanel-billing provision moves'
    ),
    (
        'row_deleted',
        'trouble',
        'mPanel has deleted a tenant, customer or subscription that Stripe still bills, or whose accounts are left at the services.',
        'a decision: deleted restore brings it back, deleted cancel with --refund or --no-refund ends it at Stripe',
        'mpanel-billing deleted restore SUBSCRIPTION'
    ),
    (
        'not_adopted',
        'trouble',
        'A subscription came back from Stripe after a restored backup, but not all of it.',
        'an agreement with the buyer',
        'mpanel-billing provision settled SUBSCRIPTION'
    ),
    (
        'paid_twice',
        'trouble',
        'Two living subscriptions pay for one domain or one order, or for two orders of the same minutes at one address; object_id is the other one at Stripe. The first keeps the domain.',
        'the end of either at Stripe, after the buyer has said which one to keep; or provision settled, if they want both orders',
        NULL
    ),
    (
        'domain_not_renewed',
        'trouble',
        'A further year of a domain, or the first of one in place of a lost one, cannot be charged, or was paid and the registrar does not do it; or its money could not be given back. object_id is the name.',
        'a renewal at the registrar, whose expiry then moves; or the end of the domain. What was not given back: a refund of the invoice',
        'mpanel-billing domains show NAME'
    ),
    (
        'trial_twice',
        'trouble',
        'A customer is on trial for a product of which they, their mailbox or their card had a trial before; object_id is the earlier subscription at Stripe.',
        'the end of the trial, or of the subscription',
        NULL
    ),
    (
        'foreign_schedule',
        'trouble',
        'A subscription schedule at Stripe, which was not made here, changes a living subscription; a change that Stripe refuses because of it is 409 subscription_scheduled. object_id is the schedule.',
        'releasing the schedule at Stripe, or its end',
        NULL
    ),
    (
        'item_unplaced',
        'trouble',
        'An item of a living subscription belongs to no product of the catalogue; it gives nothing and takes nothing away.',
        'its product or price in the catalogue, or the declaration that its price gives nothing',
        'mpanel-billing provision ignore-price PRICE --reason REASON'
    ),
    (
        'overdue',
        'trouble',
        'A term is due and unpaid, and Stripe does not try again to collect it.',
        'the payment on the hosted page of the invoice, or the end of the subscription at Stripe',
        NULL
    ),
    (
        'nothing_owed',
        'trouble',
        'Stripe calls a subscription past due or unpaid, and no invoice for its terms is due and unpaid. After grace it is suspended anyway.',
        'the payment of what Stripe still waits for: the draft that detail names, or another invoice at Stripe',
        'mpanel-billing provision collect-draft SUBSCRIPTION'
    ),
    (
        'paid_after_end',
        'trouble',
        'An invoice that was open at the end of the subscription was paid afterwards; nothing is terminated until it is settled.',
        'all of it given back (a refund or a credit note, here or at Stripe) or lost to a bank, a revival, or the statement that it is settled (provision keep-payment)',
        'mpanel-billing provision revive SUBSCRIPTION'
    ),
    (
        'finalization_failed',
        'trouble',
        'Stripe could not finalize an invoice, and so does not collect it; object_id is the invoice.',
        'its finalization, after what detail names is corrected at Stripe; or its deletion there',
        'mpanel-billing provision collect-draft SUBSCRIPTION'
    ),
    (
        'draft_left',
        'trouble',
        'An invoice has been a draft for three days and is not meant to be one: collection is not paused with keep_as_draft, the subscription is not unpaid, and nobody made it by hand.',
        'its payment or its deletion at Stripe',
        'mpanel-billing provision collect-draft SUBSCRIPTION'
    ),
    (
        'invoice_deleted',
        'trouble',
        'A draft for a term of a living subscription was deleted at Stripe, and no later term is billed yet.',
        'the invoice of the next term; what was deleted has to be charged again at Stripe, or given away',
        NULL
    ),
    (
        'debt_unconfirmed',
        'trouble',
        'A subscription is to be suspended for a debt, and for a day Stripe could not be asked whether the debt still stands.',
        'a response from Stripe',
        'mpanel-billing doctor'
    ),
    (
        'event_failed',
        'trouble',
        'An event cannot be applied or read, or has waited for 15 minutes. It is tried 12 times, at most 6 hours apart.',
        'its next try or a replay, once the cause is fixed; what cannot be read needs an upgrade',
        'mpanel-billing events replay EVENT'
    ),
    (
        'refetch_failed',
        'trouble',
        'An object could not be fetched from Stripe for an hour, or not be read or written.',
        'its next try, once the key, the connection or the version is right',
        'mpanel-billing doctor'
    ),
    (
        'invoice_unlinked',
        'trouble',
        'An invoice names a subscription that has not been received.',
        'the event of the subscription, or fetching it',
        'mpanel-billing reconcile --object SUBSCRIPTION'
    ),
    (
        'subscription_unmirrored',
        'trouble',
        'A Checkout session is complete, and its subscription has not been received; the worker fetches it after a minute.',
        'the worker, if it runs; or fetching it',
        'mpanel-billing reconcile --object SUBSCRIPTION'
    ),
    (
        'request_unfinished',
        'trouble',
        'A change, refund or portal session was requested, and for 15 minutes it is unknown whether it took effect. object_id is the entry of the audit log.',
        'the same request again; or audit settle, after a look at Stripe',
        'mpanel-billing audit settle ENTRY --outcome OUTCOME --reason REASON'
    ),
    (
        'drift',
        'trouble',
        'The latest reconcile found a difference from Stripe that it could not repair.',
        'a later reconcile that does not find it (docs/reconciliation.md)',
        'mpanel-billing reconcile --object OBJECT'
    ),
    (
        'dispute_unanswered',
        'trouble',
        'A bank disputes a payment, or asks about it, and waits for evidence.',
        'evidence that is submitted, or a refund if the bank only asks; three days before the deadline it is dispute_due',
        'mpanel-billing disputes show DISPUTE'
    ),
    (
        'dispute_due',
        'trouble',
        'A disputed payment is lost within three days, unless evidence is submitted.',
        'evidence that is submitted, a refund if the bank only asks, or the deadline: then it is lost',
        'mpanel-billing disputes evidence DISPUTE'
    ),
    (
        'fraud_warning',
        'trouble',
        'A bank reports a payment as fraud, and nobody disputes it yet.',
        'a refund, a dispute, or 30 days',
        'mpanel-billing refund INVOICE'
    ),
    (
        'tax_id_unverified',
        'trouble',
        'An invoice leaves the tax to the customer (reverse charge), and their tax id is not known to the government''s database.',
        'a verified tax id, the end of the wrong one at Stripe, a voided invoice, or 90 days',
        'mpanel-billing invoice show INVOICE'
    ),
    (
        'usage_not_billed',
        'trouble',
        'Usage came after the invoice of its term was final, or Stripe does not take it: nobody is billed for it. object_id is the meter event.',
        'usage settle, once it is charged otherwise (charge), or given away',
        'mpanel-billing usage settle EVENT --reason TEXT'
    ),
    (
        'usage_unsent',
        'trouble',
        'For an hour, Stripe could not be told of usage. object_id is the meter event; what the customer used of that meter since waits behind it.',
        'the worker, once the cause that detail names is fixed',
        NULL
    ),
    (
        'usage_dropped',
        'trouble',
        'Stripe reports meter events that it took and does not count, and does not name all of them, or for an hour none. object_id is its event.',
        'usage settle, once usage compare has shown whose they are and that is charged; or an answer of Stripe',
        'mpanel-billing usage settle EVENT --reason TEXT'
    ),
    (
        'receiver_disabled',
        'trouble',
        'A receiver of messages has failed for three days, or says that it is gone, and is sent nothing any more. object_id is its name.',
        'receivers enable, once it works again: it gets all that has waited; or receivers remove',
        'mpanel-billing receivers enable RECEIVER'
    ),
    (
        'not_delivered',
        'trouble',
        'A message was given up for a receiver: after ten attempts over three days, or because it returned 410. object_id is the message.',
        'deliveries resend, once the receiver accepts it; or deliveries dismiss',
        'mpanel-billing deliveries resend MESSAGE'
    ),
    (
        'dunning',
        'watch',
        'A term is due and unpaid, and Stripe will try again to collect it.',
        'the payment; without one, the last try makes it overdue',
        NULL
    ),
    (
        'provisioning_retried',
        'watch',
        'A service has failed to carry out a command, and the command is repeated. object_id is the product type.',
        'a command that succeeds; after five tries it is provisioning_failed',
        NULL
    ),
    (
        'debt_unchecked',
        'watch',
        'A subscription is to be suspended for a debt, and Stripe could not be asked whether the debt still stands.',
        'a response from Stripe; after a day it is debt_unconfirmed',
        NULL
    ),
    (
        'open_after_end',
        'watch',
        'An invoice can still be paid although its subscription has ended.',
        'its payment, which is paid_after_end; or the termination of the accounts, which voids it first (OPEN_INVOICES_AT_END)',
        NULL
    ),
    (
        'event_waiting',
        'watch',
        'An event is stored and not applied yet.',
        'its next try; after 15 minutes it is event_failed',
        NULL
    ),
    (
        'dispute_under_review',
        'watch',
        'Evidence for a disputed payment was submitted, and the bank decides.',
        'its decision, which can take three months',
        NULL
    ),
    (
        'refetch_retried',
        'watch',
        'An object is to be fetched from Stripe, which could not be reached.',
        'the next try; after an hour it is refetch_failed',
        NULL
    )
) AS k (kind, list, meaning, settled_by, command);
COMMENT ON VIEW billing_trouble_kinds IS 'What each kind of trouble or watched work means, and what settles it';
COMMENT ON COLUMN billing_trouble_kinds.kind IS 'Its name';
COMMENT ON COLUMN billing_trouble_kinds.list IS 'trouble: a person must act; watch: Stripe or time settles it';
COMMENT ON COLUMN billing_trouble_kinds.meaning IS 'What is wrong, or under way';
COMMENT ON COLUMN billing_trouble_kinds.settled_by IS 'What makes the line go away';
COMMENT ON COLUMN billing_trouble_kinds.command IS 'The command to begin with; null: none';
