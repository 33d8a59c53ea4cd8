"""Tax ids of buyers: their type and the id itself. Whether it is well formed, Stripe says."""

from dataclasses import dataclass

from mpanel_billing.errors import InvalidRequestError

REFUSED = "tax_id_invalid"
"""Stripe's error code for an id that its type does not have."""

_TYPES = """
ad_nrt ae_trn al_tin am_tin ao_tin ar_cuit au_abn au_acn au_arn au_wpn aw_tin az_tin ba_tin bb_tin
bd_bin bf_ifu bg_uic bh_vat bj_ifu bo_tin br_cnpj br_cpf bs_tin bw_vat by_tin ca_bn ca_gst_hst
ca_pst_bc ca_pst_mb ca_pst_sk ca_qst cd_nif ch_uid ch_vat ci_vat cl_tin cm_niu cn_tin co_nit cr_tin
cv_nif cz_dic de_stn do_rcn ec_ruc eg_tin es_cif et_tin eu_oss_vat eu_vat fo_vat fr_siren fr_siret
fr_spi gb_vat ge_vat gh_tin gi_tin gn_nif hk_br hr_oib hu_tin ic_nif id_npwp il_vat in_gst is_kt
is_vat it_cf jp_cn jp_rn jp_trn ke_pin kg_tin kh_tin kr_brn kz_bin la_tin li_uid li_vat lk_vat
ma_vat md_cf md_vat me_pib mk_vat mr_nif mu_vat mx_rfc my_frp my_itn my_sst mz_nuit ng_tin no_vat
no_voec np_pan nz_bn nz_gst om_vat pe_ruc ph_tin pl_nip pt_nif py_ruc ro_tin rs_pib ru_inn ru_kpp
sa_vat sg_gst sg_uen si_tin sm_coe sn_ninea sr_fin sv_nit th_vat tj_tin tr_tin tt_bir tt_vat tw_vat
tz_vat ua_vat ug_tin us_ein uy_ruc uz_tin uz_vat ve_rif vn_tin za_vat zm_tin zw_tin
"""
TYPES = frozenset(_TYPES.split())
"""Those that Stripe knows, such as `eu_vat`."""


@dataclass(frozen=True, slots=True)
class TaxId:
    """A tax id, as its owner writes it, of a type in TYPES."""

    type: str
    value: str

    def as_params(self) -> dict[str, str]:
        """Return it as Stripe takes it."""
        return {"type": self.type, "value": self.value}


def normalise_type(text: str) -> str:
    """Return the type in lower case; ValueError if there is none like it."""
    wanted = text.strip().lower()
    if wanted not in TYPES:
        msg = "must be one of Stripe's types of tax ids, like eu_vat, gb_vat or us_ein"
        raise ValueError(msg)
    return wanted


def tax_id_refused(field: str) -> InvalidRequestError:
    """Return the error for an id that its type does not have, in this field of the request."""
    return InvalidRequestError(
        "This is not a tax id of its type. Please check it, or order without it.",
        code="invalid_tax_id",
        fields={field: "is not a tax id of this type"},
    )
