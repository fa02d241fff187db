"""The recorded one-shots: which files make which kit, bass, tone or texture, and whom to credit."""

from __future__ import annotations

from pathlib import Path

from training.corpus import SHARED

HYDROGEN = Path("/usr/share/hydrogen/data/drumkits")
SONIC = Path("/usr/share/sonic-pi/samples")
CREDITS = {
    "synth": "synthesized here",
    "muldjord": "MuldjordKit (CC BY 4.0, Lars Muldjord)",
    "audiophob": "hydrogen-drumkits: Audiophob (CC0)",
    "rumpf": "hydrogen-drumkits: rumpf_kit_z01 (CC BY 3.0, Emanuel Rumpf)",
    "sonic": "sonic-pi-samples (CC0)",
    "blackpearl": "hydrogen-drumkits: The Black Pearl 1.0 (GPL-2, evaluation only)",
    "hardelectro": "hydrogen-drumkits: HardElectro1 (GPL-2+, evaluation only)",
    "empire": "hydrogen-drumkits: ElectricEmpireKit (GPL-2+, evaluation only)",
    "millo": "hydrogen-drumkits: Millo_MultiLayered2 (GPL-2, evaluation only)",
    "bass-yr": "FreePats Yamaha RBX bass (CC0, Andrea Biasior)",
    "bass-growly": "Karoryfer Growlybass (CC0)",
    "bass-meat": "Karoryfer Meatbass (CC0)",
    "texture": "sonic-pi-samples (CC0)",
}
# acoustic kits: all files of a piece are its layers
LAYERED: dict[str, tuple[Path, dict[str, str]]] = {
    "muldjord": (
        SHARED / "drumkits/muldjord",
        {
            "kick": "Kdrum[LR]/*",
            "snare": "Snare/*",
            "rim": "SnareRest/*",
            "hat": "HihatClosed/*",
            "open": "HihatOpen/*",
            "tom1": "Tom1/*",
            "tom2": "Tom[23]/*",
            "tom3": "Tom4/*",
            "crash": "Crash[LR]/*",
            "china": "China/*",
            "ride": "Ride[LR]/*",
            "bell": "Ride?Bell/*",
        },
    ),
    "blackpearl": (
        HYDROGEN / "The Black Pearl 1.0",
        {
            "kick": "PearlKick-*",
            "snare": "PearlSnare-*",
            "rim": "PearlSideStick-*",
            "hat": "SabianHatClosed-*",
            "open": "SabianHatOpen-*",
            "pedal": "SabianHatPedal-*",
            "tom1": "PearlTom1-*",
            "tom2": "PearlTom2-*",
            "tom3": "PearlTomFloor-*",
            "crash": "SabianCrash-*",
            "china": "ZildjianSplash-*",
            "ride": "PaisteRide-*",
            "bell": "PaisteBell-*",
            "cowbell": "Cowbell-*",
            "clap": "HandClap*",
        },
    ),
    "millo": (
        HYDROGEN / "Millo_MultiLayered2",
        {
            "kick": "bd_*",
            "snare": "rsnare_*",
            "rim": "rim_*",
            "hat": "hhclosed_*",
            "open": "hhopen_*",
            "pedal": "hhpedal_*",
            "tom1": "tom_*",
            "tom2": "tom_*",
            "tom3": "floortom_*",
            "crash": "crash_*",
            "ride": "ride_*",
            "clap": "clap_*",
        },
    ),
}
# machines: of each piece one file is drawn a song
DRAWN: dict[str, tuple[Path, dict[str, str]]] = {
    "audiophob": (
        HYDROGEN / "Audiophob",
        {
            "kick": "86335*",
            "rim": "16336*",
            "snare": "124382* 25671*",
            "clap": "29800*",
            "tom3": "99930*",
            "hat": "116973*",
            "tom2": "99931*",
            "shaker": "156272*",
            "tom1": "101450*",
            "open": "104227*",
            "crash": "124101*",
        },
    ),
    "rumpf": (
        HYDROGEN / "rumpf_kit_z01_h2",
        {
            "kick": "beats_06-38* beats_06-46* beats_07-18* beats_07-20*",
            "rim": "beats_09-12*",
            "snare": "beats_01-21* beats_06-25*",
            "clap": "beats_01-26*",
            "hat": "beats_09-10*",
            "pedal": "beats_06-28*",
            "open": "beats_08-31*",
            "tom3": "beats_08-17*",
            "tom2": "beats_08-18*",
            "tom1": "beats_08-19*",
            "crash": "beats_06-43* beats_06-30*",
            "ride": "beats_08-20* beats_06-30*",
            "bell": "beats_06-40*",
            "cowbell": "beats_08-32*",
        },
    ),
    "sonic": (
        SONIC,
        {
            "kick": (
                "bd_808* bd_ada* bd_boom* bd_fat* bd_gas* bd_haus* bd_klub* bd_pure* bd_sone* bd_tek* bd_zome* "
                "bd_zum* drum_heavy_kick* drum_bass_hard* elec_hollow_kick* elec_soft_kick*"
            ),
            "snare": (
                "sn_dolf* sn_dub* sn_generic* sn_zome* drum_snare_hard* elec_snare* elec_hi_snare* "
                "elec_lo_snare* elec_mid_snare* elec_filt_snare*"
            ),
            "hat": "drum_cymbal_closed* elec_tick* drum_cymbal_pedal*",
            "open": "drum_cymbal_open*",
            "pedal": "drum_cymbal_pedal*",
            "crash": "drum_splash_hard* drum_cymbal_hard*",
            "ride": "drum_cymbal_soft* elec_cymbal*",
            "tom1": "drum_tom_hi_hard* elec_fuzz_tom*",
            "tom2": "drum_tom_mid_hard*",
            "tom3": "drum_tom_lo_hard*",
            "snap": "perc_snap*",
            "cowbell": "drum_cowbell* elec_triangle*",
            "rim": "elec_wood* elec_pop* elec_blip2* perc_till*",
            "conga1": "tabla_na* tabla_tas* tabla_te_ne*",
            "conga2": "tabla_ghe* tabla_ke*",
            "bongo1": "tabla_tun* tabla_re*",
            "bongo2": "tabla_dhec* tabla_te1*",
            "clave": "elec_wood* elec_plip*",
        },
    ),
    "hardelectro": (
        HYDROGEN / "HardElectro1",
        {
            "kick": "HardHse_K_0* PowR_BD*",
            "snare": "PowR_SN*",
            "clap": "*Clap_1*",
            "hat": "*CHH* FX_Chh*",
            "pedal": "PowR_HH_1*",
            "open": "Hard_Hse_OHH* PowR_HH_2*",
            "tom1": "yFX*",
        },
    ),
    "empire": (
        HYDROGEN / "ElectricEmpireKit",
        {
            "kick": "EE_Kick_*",
            "snare": "EE_Snare_*",
            "clap": "EE_Clap*",
            "rim": "EE_Click*",
            "hat": "EE_Hat_Cl* EE_Hat_Ring*",
            "open": "EE_Hat_Op*",
            "conga1": "EE_Conga_1*",
            "conga2": "EE_Conga_2*",
            "tom1": "EE_Drum_1*",
            "tom2": "EE_Drum_2*",
        },
    ),
}
SONIC_BASS = {
    "sonic-hard": ("bass_hard_c", 24),
    "sonic-thick": ("bass_thick_c", 36),
    "sonic-trance": ("bass_trance_c", 36),
    "sonic-woodsy": ("bass_woodsy_c", 36),
    "sonic-dnb": ("bass_dnb_f", 29),
}  # file, MIDI pitch
TONES = (
    "elec_bell",
    "elec_chime",
    "elec_ping",
    "elec_plip",
    "elec_twang",
    "elec_triangle",
    "elec_blip",
    "perc_bell",
    "ambi_glass_rub",
)
TEXTURES = (
    "ambi_drone",
    "ambi_glass_hum",
    "ambi_haunted_hum",
    "ambi_lunar_land",
    "ambi_dark_woosh",
    "ambi_glass_rub",
    "vinyl_hiss",
    "ambi_swoosh",
    "guit_em9",
    "guit_harmonics",
)
LEVELS = {
    "kick": 1.0,
    "snare": 0.8,
    "clap": 0.6,
    "snap": 0.5,
    "rim": 0.45,
    "hat": 0.3,
    "pedal": 0.3,
    "open": 0.35,
    "crash": 0.45,
    "china": 0.4,
    "ride": 0.3,
    "bell": 0.35,
    "tom1": 0.7,
    "tom2": 0.75,
    "tom3": 0.8,
    "shaker": 0.22,
    "tamb": 0.3,
    "cowbell": 0.3,
    "clave": 0.3,
    "conga1": 0.45,
    "conga2": 0.5,
    "bongo1": 0.4,
    "bongo2": 0.4,
}  # how loud a piece is at full stroke
