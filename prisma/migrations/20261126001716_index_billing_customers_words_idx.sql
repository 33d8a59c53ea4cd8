-- For the search by words of a name, a company or an e-mail address, and of what is between the dots and hyphens of that
-- address, but for its top-level domain. Without accents.

-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS billing_customers_words_idx
ON customers USING gin (
    to_tsvector(
        'simple',
        translate(
            replace(
                lower(
                    coalesce(name, '') || ' ' || coalesce(company_name, '')
                    || ' ' || coalesce(split_part(email, '@', 2), '')
                    || ' ' || translate(coalesce(regexp_replace(email, '[.][^.@]*$', ''), ''), '@.+_-', '     ')
                ),
                'ß',
                'ss'
            ),
            'äöüàáâãåąçćčďđèéêëęěğìíîïıłñńňòóôõøőřśšșşťțùúûůűýÿźżž',
            'aouaaaaaacccddeeeeeegiiiiilnnnoooooorssssttuuuuuyyzzz'
        )
    )
);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS billing_customers_words_idx;
